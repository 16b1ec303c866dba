/** What would stop a node from starting, found without starting one: unusable keys and certificates. */
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { tokenAuthenticator } from '../auth/authenticator.ts';
import type { Config } from '../config/config.ts';
import { type LoadOptions, type LoadResult, loadConfig } from '../config/load.ts';
import { readRedisTls } from './redis-tls.ts';

/** Like `loadConfig`, but also checks the content of the files that the settings name. */
export function loadStartable(options: LoadOptions): LoadResult {
  const result = loadConfig(options);
  if ('problems' in result) return result;
  const problems = startProblems(result.config);
  return problems.length > 0 ? { problems } : result;
}

/** One line each. Reads files, nothing else. */
export function startProblems({ auth, tls, redis }: Config): string[] {
  const { certFile, keyFile, caFile } = redis.tls;
  const redisFiles = [certFile, keyFile, caFile].filter((file) => file !== null);
  return [
    ...problemOf('', () => tokenAuthenticator(auth)),
    ...(tls === null
      ? []
      : problemOf(`cannot serve TLS with ${tls.certFile} and ${tls.keyFile}: `, () => {
          const { passphrase } = tls;
          const pair = { cert: readFileSync(tls.certFile), key: readFileSync(tls.keyFile) };
          createSecureContext(passphrase === null ? pair : { ...pair, passphrase });
        })),
    ...(redisFiles.length === 0
      ? []
      : problemOf(`redis.tls: cannot use ${redisFiles.join(', ')}: `, () =>
          createSecureContext(readRedisTls(redis.tls) as SecureContextOptions),
        )),
  ];
}

function problemOf(prefix: string, build: () => unknown): string[] {
  try {
    build();
    return [];
  } catch (error) {
    return [prefix + (error instanceof Error ? error.message : String(error))];
  }
}
