/**
 * `roomcast/testing`: a broker in the process of a test, for those who build on Roomcast. It is a node as any
 * other, with its rooms, history, presence, tokens and limits, but it needs no port, no Redis and no native addon.
 * docs/testing.md is the guide.
 */
export type { AckPage } from '../backplane/acks.ts';
export type { RoomsPage } from '../backplane/presence.ts';
export type { HistoryResult, MembersResult, Position, PublishResult } from '../protocol/frames.ts';
export type { Logger } from '../util/log.ts';
export type { Scheduler, Timer } from '../util/scheduler.ts';
export type { Target, TestDevice, TestWebSocketClass } from './network.ts';
export type { TestBrokerOptions } from './options.ts';
export type {
  HistoryRead,
  RemoveOptions,
  RevocationTarget,
  RevokeOptions,
  ServerPublishOptions,
} from './server-api.ts';
export { startTestBroker, type TestBroker, type TestConnection } from './test-broker.ts';
export type { MovableClock } from './test-clock.ts';
export type { TestTokenClaims } from './test-tokens.ts';
export type { TestCloseEvent, TestErrorEvent, TestWebSocket } from './test-web-socket.ts';
