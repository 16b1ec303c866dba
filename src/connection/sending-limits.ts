import { KeyedRate } from '../util/keyed-rate.ts';
import { RateLimit } from '../util/rate-limit.ts';

export interface SendingSettings {
  /** 0: no limit. */
  readonly commandsPerSecond: number;
  readonly commandBurst: number;
  /** For all connections of a user on this node together. 0: no limit. */
  readonly userCommandsPerSecond: number;
  readonly userCommandBurst: number;
  /** For all connections without a user of an address on this node together. 0: no limit. */
  readonly addressCommandsPerSecond: number;
  readonly addressCommandBurst: number;
  /** 0: no limit. */
  readonly joinsPerSecond: number;
  readonly joinBurst: number;
  readonly roomsPerConnection: number;
  /** Commands that may wait for their reply. 0: no limit. */
  readonly pendingRequests: number;
  /** Idempotency keys remembered at a time. 0: no limit. */
  readonly keysPerUser: number;
  readonly dedupWindowMs: number;
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
 * over time, and bytes in one turn of the event loop. Those also apply where no rate is set:
 * uWebSockets.js keeps reading from one socket, and runs nothing else, while that socket fills the receive
 * buffer faster than the node handles it.
 */
export interface SendingLimits {
  /** As configured, for the errors that name them. */
  readonly settings: SendingSettings;
  readonly commands: RateLimit;
  readonly userCommands: KeyedRate;
  /** Refused commands of a user that are answered; beyond them its connections are closed. */
  readonly userRefusals: KeyedRate;
  /** Of connections without a user. */
  readonly addressCommands: KeyedRate;
  /** The same for those. */
  readonly addressRefusals: KeyedRate;
  readonly joins: RateLimit;
  /** Idempotency keys, of a connection without a user. */
  readonly keys: RateLimit;
  readonly userKeys: KeyedRate;
  /** How many keys are paid for at a time; 0: there is no limit. */
  readonly keysAtOnce: number;
  /** Commands of one connection that wait for their reply; Infinity: no limit. */
  readonly pendingRequests: number;
  /** Refused commands. An accepted command in between does not make up for them: only time does. */
  readonly refusals: RateLimit;
  readonly bytes: RateLimit;
  readonly userBytes: KeyedRate;
  /** Messages of one connection that wait for their turn: each has a command at least. */
  readonly heldMessages: number;
  /** Bytes of one connection in one turn, and bytes of it that wait for their turn. */
  readonly turnBytes: number;
  /** Pings, pongs and messages without a command, of one connection in a window of `IDLE_WINDOW_MS`. */
  readonly idleFrames: number;
}

export const IDLE_WINDOW_MS = 10_000;
/** What a user is charged for at once, so that small messages do not each take a look-up. */
export const USER_CHARGE_BYTES = 4096;
/** Idempotency keys that are paid for at a time, at most. */
const USER_CHARGE_KEYS = 16;
/** The same for commands. */
export const USER_CHARGE_COMMANDS = 16;
/** A client that pings each second sends ten, and one that slept answers a handful of pings. */
const IDLE_FRAMES = 1000;
/** What a join costs an address beyond other commands. */
export const JOIN_EXTRA_COMMANDS = 4;
/**
 * Refused commands answered with an error before the connection is closed: as many as its burst, within these
 * bounds.
 */
const MIN_REFUSALS = 100;
const MAX_REFUSALS = 1000;
/** Messages that may wait where no rate is set. */
const HELD_MESSAGES = 10_000;
/** Less than 100 ms of work. A higher configured limit replaces it. */
const TURN_BYTES = 4 * 1_048_576;

export function sendingLimits(settings: SendingSettings): SendingLimits {
  const { commandsPerSecond, commandBurst, bytesPerSecond, userBytesPerSecond, maxPayloadBytes } = settings;
  // The largest allowed message always passes after a pause.
  const byteBurst = Math.max(settings.byteBurst, maxPayloadBytes);
  // Users are charged for small messages together, so one may be charged for with the largest.
  const userByteBurst = Math.max(settings.userByteBurst, maxPayloadBytes + USER_CHARGE_BYTES);
  const keys = keysLimit(settings);
  return {
    settings,
    userCommands: new KeyedRate(
      new RateLimit(
        settings.userCommandsPerSecond,
        Math.max(settings.userCommandBurst, USER_CHARGE_COMMANDS),
      ),
    ),
    addressCommands: new KeyedRate(
      new RateLimit(
        settings.addressCommandsPerSecond,
        Math.max(settings.addressCommandBurst, USER_CHARGE_COMMANDS),
      ),
    ),
    userRefusals: new KeyedRate(
      new RateLimit(refusals(settings.userCommandsPerSecond), refusals(settings.userCommandBurst)),
    ),
    addressRefusals: new KeyedRate(
      new RateLimit(refusals(settings.addressCommandsPerSecond), refusals(settings.addressCommandBurst)),
    ),
    // A client that comes back joins all of its rooms at once.
    joins: new RateLimit(settings.joinsPerSecond, Math.max(settings.joinBurst, settings.roomsPerConnection)),
    keys,
    userKeys: new KeyedRate(keys),
    keysAtOnce: keysAtOnce(settings),
    pendingRequests: settings.pendingRequests === 0 ? Infinity : settings.pendingRequests,
    commands: new RateLimit(commandsPerSecond, commandBurst),
    refusals: new RateLimit(refusals(commandsPerSecond), refusals(commandBurst)),
    bytes: new RateLimit(bytesPerSecond, byteBurst),
    userBytes: new KeyedRate(new RateLimit(userBytesPerSecond, userByteBurst)),
    heldMessages: heldMessages(commandsPerSecond, commandBurst),
    turnBytes: Math.max(TURN_BYTES, byteBurst),
    idleFrames: IDLE_FRAMES,
  };
}

/**
 * In any window at most the burst, plus what the rate adds: half and half, so that never more keys than the
 * setting says are remembered at a time.
 */
function keysLimit({ keysPerUser, dedupWindowMs }: SendingSettings): RateLimit {
  return new RateLimit((keysPerUser / 2 / dedupWindowMs) * 1000, Math.max(1, keysPerUser / 2));
}

/** A hundredth of the burst at most, so that few connections of a user use up nothing by this. */
function keysAtOnce({ keysPerUser }: SendingSettings): number {
  return keysPerUser === 0 ? 0 : Math.min(Math.max(1, Math.floor(keysPerUser / 200)), USER_CHARGE_KEYS);
}

/** All that would be carried out or answered if it came now, and that of a second in which the node is busy. */
function heldMessages(commandsPerSecond: number, commandBurst: number): number {
  if (commandsPerSecond === 0) return HELD_MESSAGES;
  return Math.max(commandsPerSecond, commandBurst) + refusals(commandBurst);
}

function refusals(commands: number): number {
  return Math.min(Math.max(MIN_REFUSALS, commands), MAX_REFUSALS);
}
