import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import type { Config } from '../config/config.ts';

/** Options for a `rediss://` link. The files in the settings were found readable when those were checked. */
export function readRedisTls({
  caFile,
  certFile,
  keyFile,
  rejectUnauthorized,
}: Config['redis']['tls']): ConnectionOptions {
  return {
    rejectUnauthorized,
    ...(caFile === null ? {} : { ca: readFileSync(caFile) }),
    ...(certFile === null ? {} : { cert: readFileSync(certFile) }),
    ...(keyFile === null ? {} : { key: readFileSync(keyFile) }),
  };
}
