/** What every entry of the package exports. */

export type { ErrorCode } from '../protocol/codes.ts';
export type { AckResult, GapReason, Position, PublishResult } from '../protocol/frames.ts';
export type { Environment, Page, PageChange, WebSocketConstructor, WebSocketLike } from './environment.ts';
export {
  ClosedError,
  DisconnectedError,
  QueueFullError,
  RefusedError,
  RoomcastError,
  TooSlowError,
  Unauthorized,
  UnknownOutcomeError,
} from './errors.ts';
export type { InspectedFrame } from './inspector.ts';
export type { MemberList, PresentMember, Snapshot } from './member-list.ts';
export type { ClientOptions, ClientStorage } from './options.ts';
export type { QueueLimits } from './publish-queue.ts';
export { type IterationSettings, Room } from './room.ts';
export type {
  Gap,
  Joined,
  MemberChange,
  Message,
  RoomEvents,
  RoomOptions,
  RoomState,
  Signal,
} from './room-events.ts';
export type {
  HistoryPage,
  HistorySettings,
  MembersSettings,
  PublishSettings,
  RequestSettings,
  SignalOutcome,
  SignalSettings,
} from './room-services.ts';
export type {
  ClientState,
  ClientStatus,
  ClosedStatus,
  ConnectedStatus,
  ConnectingStatus,
  IdleStatus,
  TransportName,
  WaitingStatus,
} from './status.ts';
export type { GetToken, TokenReason } from './tokens.ts';
