import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { type TemplatedApp, uws } from './uws.ts';

export interface TlsOptions {
  readonly certFile: string;
  readonly keyFile: string;
  readonly passphrase: string | null;
}

/**
 * For TLS 1.2: forward secrecy and authenticated encryption, nothing else. Every client of the last ten years
 * has one of them. TLS 1.3 has its own, which are all good. uWebSockets.js refuses what is older than 1.2.
 */
const CIPHERS = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

/** An application that serves TLS. Throws, with a sentence, if the certificate and key cannot be used. */
export function secureApp({ certFile, keyFile, passphrase }: TlsOptions): TemplatedApp {
  const secret = passphrase === null ? {} : { passphrase };
  try {
    return uws.SSLApp({
      cert_file_name: certFile,
      key_file_name: keyFile,
      ssl_ciphers: CIPHERS,
      ...secret,
    });
  } catch (cause) {
    const problem = tlsProblem(certFile, keyFile, secret);
    throw new Error(`cannot serve TLS with ${certFile} and ${keyFile}: ${problem}`, { cause });
  }
}

/** uWebSockets.js only says that it failed; Node, asked for the same, says why. */
function tlsProblem(certFile: string, keyFile: string, secret: { readonly passphrase?: string }): string {
  try {
    createSecureContext({ cert: readFileSync(certFile), key: readFileSync(keyFile), ...secret });
    return 'this type of certificate or key is not supported';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
