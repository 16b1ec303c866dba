/**
 * `roomcast/backplane`: what you need for your own backplane. Implement `Backplane`, and pass it to
 * `startNode`:
 *
 *     const node = await startNode(config, log, { backplane: ({ nodeId }) => new MyBackplane(nodeId) });
 *
 * The comments of the ports are the contract. A message becomes an envelope in two steps: `draftEnvelope`
 * joins frames, `finishEnvelope` gives them their position in the room. `PublishQueue` gathers messages by
 * room.
 */
export type { Acked, AckOutcome, AckPage, AckReceipt, Acks, Start } from './acks.ts';
export {
  type Backplane,
  BackplaneError,
  type BackplaneErrorCode,
  type BackplaneEvents,
  type BackplaneStatus,
  type HistoryPage,
  type NewestPage,
  type PublishRequest,
  type ReadOptions,
  type RoomPosition,
} from './backplane.ts';
export type { Denial, Denials } from './denials.ts';
export { type DraftFrame, draftEnvelope, Envelope, finishEnvelope, ID_BYTES } from './envelope.ts';
export type { HistoryPolicy } from './history-policy.ts';
export type {
  OwnEntry,
  Presence,
  PresenceChange,
  PresenceEntry,
  PresenceEvents,
  PresencePage,
  PresentRoom,
  RoomsPage,
} from './presence.ts';
export { packWho, unpackWho } from './presence-event.ts';
export { PublishQueue, type TakeLimits } from './publish-queue.ts';
export type { BatchResult, FirstResult, RoomBatch } from './room-batch.ts';
