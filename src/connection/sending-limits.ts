import { RateLimit } from '../util/rate-limit.ts';
import { UserBytes } from './user-bytes.ts';

export interface SendingSettings {
  /** 0: no limit. */
  readonly commandsPerSecond: number;
  readonly commandBurst: number;
  /** Per connection. 0: no limit. */
  readonly bytesPerSecond: number;
  readonly byteBurst: number;
  /** For all connections of a user on this node together. 0: no limit. */
  readonly userBytesPerSecond: number;
  readonly userByteBurst: number;
  readonly maxPayloadBytes: number;
}

/**
 * What one connection may send, the same for all connections of a node. There are two kinds of limit: rates
 * over time, and a budget for one turn of the event loop. The budget also applies where no rate is set:
 * uWebSockets.js keeps reading from one socket, and runs nothing else, while that socket fills the receive
 * buffer faster than the node handles it.
 */
export interface SendingLimits {
  readonly commands: RateLimit;
  /** Refused commands. An accepted command in between does not make up for them: only time does. */
  readonly refusals: RateLimit;
  readonly bytes: RateLimit;
  readonly userBytes: UserBytes;
  /** Commands of one connection in one turn. */
  readonly turnCommands: number;
  /** Bytes of one connection in one turn. */
  readonly turnBytes: number;
  /** Pings, pongs and messages without a command, of one connection in a window of `IDLE_WINDOW_MS`. */
  readonly idleFrames: number;
}

export const IDLE_WINDOW_MS = 10_000;
/** What a user is charged for at once, so that small messages do not each take a look-up. */
export const USER_CHARGE_BYTES = 4096;
/** A client that pings each second sends ten, and one that slept answers a handful of pings. */
const IDLE_FRAMES = 1000;
/**
 * Refused commands answered with an error before the connection is closed: as many as its burst, within these
 * bounds.
 */
const MIN_REFUSALS = 100;
const MAX_REFUSALS = 1000;
/** Each of these costs less than 100 ms. Higher configured limits replace them. */
const TURN_COMMANDS = 10_000;
const TURN_BYTES = 4 * 1_048_576;

export function sendingLimits(settings: SendingSettings): SendingLimits {
  const { commandsPerSecond, commandBurst, bytesPerSecond, userBytesPerSecond, maxPayloadBytes } = settings;
  // The largest allowed message always passes after a pause.
  const byteBurst = Math.max(settings.byteBurst, maxPayloadBytes);
  // Users are charged for small messages together, so one may be charged for with the largest.
  const userByteBurst = Math.max(settings.userByteBurst, maxPayloadBytes + USER_CHARGE_BYTES);
  return {
    commands: new RateLimit(commandsPerSecond, commandBurst),
    refusals: new RateLimit(refusals(commandsPerSecond), refusals(commandBurst)),
    bytes: new RateLimit(bytesPerSecond, byteBurst),
    userBytes: new UserBytes(new RateLimit(userBytesPerSecond, userByteBurst)),
    turnCommands: Math.max(TURN_COMMANDS, commandBurst),
    turnBytes: Math.max(TURN_BYTES, byteBurst),
    idleFrames: IDLE_FRAMES,
  };
}

function refusals(commands: number): number {
  return Math.min(Math.max(MIN_REFUSALS, commands), MAX_REFUSALS);
}
