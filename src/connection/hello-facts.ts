import type { HelloInfo } from '../protocol/frames.ts';
import { MAX_KEY_BYTES, MAX_ROOM_BYTES } from '../protocol/limits.ts';

/** What `hello` tells every client of a node, besides who it is. */
export type HelloFacts = Required<Pick<HelloInfo, 'dedupWindowMs' | 'silentAfterMs' | 'limits'>>;

/** The settings that clients must know. */
export interface ToldSettings {
  readonly dedupWindowMs: number;
  readonly heartbeatMs: number;
  readonly limits: {
    readonly roomsPerConnection: number;
    readonly commandsPerSecond: number;
    readonly commandBurst: number;
    readonly bytesPerSecond: number;
    readonly historyPage: number;
    readonly presenceBytes: number;
  };
}

/** A client that sees pings hears one in each interval. Probing after just that would be for jitter; a fifth more is for trouble. */
const SILENCE = 1.2;

export function helloFacts({ dedupWindowMs, heartbeatMs, limits }: ToldSettings): HelloFacts {
  return {
    dedupWindowMs,
    silentAfterMs: Math.ceil(heartbeatMs * SILENCE),
    limits: {
      rooms: limits.roomsPerConnection,
      commandsPerSecond: limits.commandsPerSecond,
      commandBurst: limits.commandBurst,
      bytesPerSecond: limits.bytesPerSecond,
      last: limits.historyPage,
      presenceBytes: limits.presenceBytes,
      key: MAX_KEY_BYTES,
      room: MAX_ROOM_BYTES,
    },
  };
}
