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
          for (const [file, text] of [
            [tls.certFile, pair.cert],
            [tls.keyFile, pair.key],
          ] as const) {
            if (!text.includes('-----BEGIN ')) throw new Error(`${file} has nothing in PEM`);
          }
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
    return [prefix + (error instanceof Error ? plainly(error.message) : String(error))];
  }
}

/** What OpenSSL says helps few people. */
const PLAIN: readonly (readonly [said: RegExp, means: string])[] = [
  [/key values mismatch/, 'the key is not that of the certificate'],
  [
    /bad decrypt|bad password|interrupted or cancelled/,
    'the key is encrypted, and the passphrase is missing or wrong',
  ],
  [
    /no start line|DECODER routines|bad base64|bad end line/,
    'a file is cut off, or has something else than it should',
  ],
];

function plainly(message: string): string {
  const known = PLAIN.find(([said]) => said.test(message));
  return known === undefined ? message : `${known[1]} (${message})`;
}
