/** What a running node takes from its settings when they are read again (SIGHUP). */
import type { Config } from './config.ts';
import { SETTINGS } from './settings.ts';

/** Keys, certificates and what is checked with them: what has to be replaced now and then. */
export const RELOADED: readonly string[] = [
  ...['apiKeys', 'metrics.key'],
  ...['tls.certFile', 'tls.keyFile', 'tls.passphrase'],
  ...['redis.tls.caFile', 'redis.tls.certFile', 'redis.tls.keyFile'],
  ...['auth.secret', 'auth.oldSecrets', 'auth.publicKeyFile', 'auth.jwksUrl'],
  ...['auth.issuer', 'auth.audience', 'auth.algorithms'],
];

/** Paths of settings that differ and that only a restart takes. */
export function needingRestart(running: Config, read: Config): string[] {
  return SETTINGS.filter(({ path, keys }) => !RELOADED.includes(path) && differ(running, read, keys)).map(
    ({ path }) => path,
  );
}

function differ(one: Config, other: Config, keys: readonly string[]): boolean {
  return JSON.stringify(valueAt(one, keys)) !== JSON.stringify(valueAt(other, keys));
}

/** Undefined below a group that is null, as `tls` is without its files. */
function valueAt(config: Config, keys: readonly string[]): unknown {
  let value: unknown = config;
  for (const key of keys) value = (value as Record<string, unknown> | null)?.[key];
  return value;
}

/** For docs/configuration.md. No trailing newline. */
export function describeReload(): string {
  return `${RELOADED.map((path) => `\`${path}\``).join(', ')}.`;
}
