/** How the nodes of a run are configured, drawn from its seed: so what few choose is exercised too. */

import type { Config } from '../../../src/config/config.ts';
import { loadConfig } from '../../../src/config/load.ts';
import type { RoomRule } from '../../../src/config/room-rule.ts';
import { Random } from '../../support/random.ts';

export const KEY_PREFIX = 'rc';
export const PARTITIONS = 8;

export interface Settings {
  /** Of `chat:b` and `short:a`. */
  readonly slowReaders: RoomRule['slowReaders'];
  /** How long keys of messages are remembered. */
  readonly dedupWindowMs: number;
  /** Members of a larger room are not named. */
  readonly detailedMembers: number;
  /** Of changed presence data, that each member of a room is sent. */
  readonly dataBytesPerSecond: number;
  /** Messages to `short:a` by way of one node; 0: any number. */
  readonly publishesPerSecond: number;
}

const MANY_MEMBERS = 200;
const FEW_MEMBERS = 3;
const LONG_WINDOW_MS = 300_000;
/** Some clients are away for longer. */
const SHORT_WINDOW_MS = 25_000;
const DATA_BYTES = 65_536;
/** Some changes of data wait. */
const FEW_DATA_BYTES = 400;

/** Mostly as by default. `fewPublishes`: a second, where the rate of rooms has a limit. `given` takes the place of what is drawn. */
export function drawnSettings(seed: number, fewPublishes: number, given: Partial<Settings> = {}): Settings {
  const random = new Random(seed ^ 0x3c6ef372);
  const policies = ['resume', 'resume', 'resume', 'latest', 'disconnect'] as const;
  return {
    slowReaders: random.pick(policies),
    dedupWindowMs: random.next() < 0.3 ? SHORT_WINDOW_MS : LONG_WINDOW_MS,
    detailedMembers: random.next() < 0.2 ? FEW_MEMBERS : MANY_MEMBERS,
    dataBytesPerSecond: random.next() < 0.2 ? FEW_DATA_BYTES : DATA_BYTES,
    publishesPerSecond: random.next() < 0.15 ? fewPublishes : 0,
    ...given,
  };
}

const CHAT = { history: { messages: 500, ageMs: 600_000 }, acks: true, memberEvents: true };
const SHORT = { history: { messages: 20, ageMs: 20_000 }, acks: true, memberEvents: true };

/** `cluster`: the addresses of one, or null. */
export function configOf(settings: Settings, cluster: string | null = null): Config {
  const { slowReaders, dedupWindowMs, detailedMembers, dataBytesPerSecond, publishesPerSecond } = settings;
  const loaded = loadConfig({
    env: {},
    settings: {
      redis: {
        url: cluster ?? 'redis://redis.test:6379',
        cluster: cluster !== null,
        keyPrefix: KEY_PREFIX,
        partitions: PARTITIONS,
        commandTimeoutMs: 2_000,
        startupTimeoutMs: 5_000,
      },
      auth: { secret: 's'.repeat(64), anonymous: true },
      heartbeat: { intervalMs: 10_000 },
      websocket: { backpressureBytes: 65_536 },
      limits: { commandsPerSecond: 0 },
      presence: { leaseMs: 4_000, detailedMembers, dataBytesPerSecond },
      dedupWindowMs,
      rooms: [
        { match: 'chat:b', ...CHAT, slowReaders },
        { match: 'chat:*', ...CHAT },
        { match: 'short:*', ...SHORT, slowReaders, publishesPerSecond },
        { match: 'live:*', history: { messages: 0 }, memberEvents: true },
      ],
    },
  });
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  return loaded.config;
}
