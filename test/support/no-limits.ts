import type { SendingSettings } from '../../src/connection/sending-limits.ts';

/** A connection may send as much as it likes, in messages of up to 64 KiB. */
export const NO_LIMITS: SendingSettings = {
  commandsPerSecond: 0,
  commandBurst: 0,
  userCommandsPerSecond: 0,
  userCommandBurst: 0,
  addressCommandsPerSecond: 0,
  addressCommandBurst: 0,
  joinsPerSecond: 0,
  joinBurst: 0,
  roomsPerConnection: 100,
  pendingRequests: 0,
  keysPerUser: 0,
  dedupWindowMs: 300_000,
  bytesPerSecond: 0,
  byteBurst: 0,
  userBytesPerSecond: 0,
  userByteBurst: 0,
  maxPayloadBytes: 65_536,
};
