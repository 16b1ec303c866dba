/**
 * How a Centrifugo 6 is started for the bench. There was no binary where this was written, so it has not been run: the
 * names of the options are those of its documentation and of its source (`internal/configtypes`).
 */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Surroundings } from './contender.ts';

const PROGRAM = 'centrifugo';

/** Rooms are called `bench:0`; what is before the colon names the namespace, which is where channels get their options. */
const NAMESPACE = {
  name: 'bench',
  allow_subscribe_for_client: true,
  allow_subscribe_for_anonymous: true,
  allow_publish_for_client: true,
  allow_publish_for_anonymous: true,
  history_size: 100,
  history_ttl: '300s',
  force_recovery: true,
};

export const CENTRIFUGO_ENV: Readonly<Record<string, string>> = {
  CENTRIFUGO_CLIENT_ALLOW_ANONYMOUS_CONNECT_WITHOUT_TOKEN: 'true',
  CENTRIFUGO_CHANNEL_NAMESPACES: JSON.stringify([NAMESPACE]),
  CENTRIFUGO_LOG_LEVEL: 'warn',
  CENTRIFUGO_USAGE_STATS_DISABLED: 'true',
};

/** Everything as by default but for what is above: `env` becomes the program that it starts. */
export function startCentrifugo({ port, redisUrl }: Surroundings): string[] {
  const where = ['CENTRIFUGO_HTTP_SERVER_ADDRESS=127.0.0.1', `CENTRIFUGO_HTTP_SERVER_PORT=${port}`];
  const engine = ['CENTRIFUGO_ENGINE_TYPE=redis', `CENTRIFUGO_ENGINE_REDIS_ADDRESS=${redisUrl}`];
  return ['env', ...where, ...(redisUrl === '' ? [] : engine), PROGRAM];
}

/** Why it cannot be run here, or null. */
export function withoutCentrifugo(): string | null {
  const folders = (process.env.PATH ?? '').split(delimiter);
  if (folders.some((folder) => isProgram(join(folder, PROGRAM)))) return null;
  return 'centrifugo is not on the PATH: see https://centrifugal.dev/docs/getting-started/installation';
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
