import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import type { Config } from '../config/config.ts';
import type { LogFields } from '../util/log.ts';

type RedisTlsSettings = Config['redis']['tls'];

/** Options for a `rediss://` link. The files in the settings were found readable when those were checked. */
export function readRedisTls({
  caFile,
  certFile,
  keyFile,
  rejectUnauthorized,
}: RedisTlsSettings): ConnectionOptions {
  return {
    rejectUnauthorized,
    ...(caFile === null ? {} : { ca: readFileSync(caFile) }),
    ...(certFile === null ? {} : { cert: readFileSync(certFile) }),
    ...(keyFile === null ? {} : { key: readFileSync(keyFile) }),
  };
}

/** TLS towards Redis. Links read the options each time they connect, so another certificate needs no reconnect. */
export class RedisTls {
  readonly options: ConnectionOptions;

  constructor(settings: RedisTlsSettings) {
    this.options = readRedisTls(settings);
  }

  /** Links use these files from their next connection on. Null if there are none, before and now. */
  take(settings: RedisTlsSettings): LogFields | null {
    const { rejectUnauthorized = true, ...files } = this.options;
    const next = readRedisTls({ ...settings, rejectUnauthorized });
    if (Object.keys(files).length === 0 && Object.keys(next).length === 1) return null;
    for (const name of Object.keys(files)) delete this.options[name as 'ca'];
    Object.assign(this.options, next);
    return { from: 'the next connection to Redis on' };
  }
}
