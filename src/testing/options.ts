import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import type { GivenSettings } from '../config/schema.ts';
import { randomId } from '../util/ids.ts';
import type { Logger } from '../util/log.ts';

/** Settings of what a test broker does not have: a port, HTTP, Redis, other nodes. */
const NOT_HERE = [
  ...([
    'host',
    'port',
    'tls',
    'redis',
    'production',
    'demo',
    'trustProxy',
    'proxyProtocol',
    'apiKeys',
  ] as const),
  ...(['allowedOrigins', 'acceptRate', 'drain', 'metrics'] as const),
] satisfies readonly (keyof GivenSettings)[];

type Settings = Omit<GivenSettings, (typeof NOT_HERE)[number] | 'log'>;

/** Settings as in the configuration file (`rooms`, `auth`, `limits`, `heartbeat` …), and those of the test. */
export interface TestBrokerOptions extends Settings {
  /** What the broker's clock shows at first: a date, or milliseconds since the Unix epoch. Default: the time now. */
  readonly now?: number | Date;
  /**
   * `real`, the default: time passes by itself, and `clock.advance` moves it ahead. `manual`: it stands still
   * until the test moves it.
   */
  readonly time?: 'real' | 'manual';
  /** Returns a number from 0 up to but not including 1. Default: as chance has it. */
  readonly random?: () => number;
  /** What the node logs. Default: nothing. */
  readonly log?: Logger;
}

/**
 * Without `auth`, connections with a token of the broker and those without any are admitted. Throws, with every
 * problem, for settings that a node would not start with.
 */
export function configOf({ now, time, random, log, ...settings }: TestBrokerOptions): Config {
  const foreign = NOT_HERE.filter((name) => Object.hasOwn(settings, name));
  const loaded = loadConfig({ settings: { ...settings, auth: authOf(settings.auth) }, env: {} });
  const problems = 'problems' in loaded ? loaded.problems : [];
  const all = [
    ...foreign.map((name) => `settings ${name}: a test broker has none, leave it out`),
    ...problems,
  ];
  if ('config' in loaded && all.length === 0) return loaded.config;
  throw new TypeError(`startTestBroker cannot use these settings:\n${all.join('\n')}`);
}

/** Long enough for every algorithm. */
const SECRET_CHARACTERS = 64;

function authOf(given: Settings['auth']): NonNullable<Settings['auth']> {
  const secret = randomId(SECRET_CHARACTERS);
  if (given === undefined) return { secret, anonymous: true };
  return given.secret || given.publicKeyFile || given.jwksUrl ? given : { ...given, secret };
}
