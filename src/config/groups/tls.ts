/** Settings of TLS: towards clients, and towards Redis. */
import { z } from 'zod';
import { optionalText, yesNo } from '../fields.ts';
import { FILE_PATH } from './shared.ts';

export const tls = z.strictObject({
  certFile: optionalText({
    ...FILE_PATH,
    readable: true,
    meaning: 'PEM certificate chain; with `tls.keyFile`, the node serves TLS itself',
  }),
  keyFile: optionalText({ ...FILE_PATH, readable: true, meaning: 'PEM private key' }),
  passphrase: optionalText({
    pattern: /./,
    expected: 'a passphrase',
    secret: true,
    meaning: 'Passphrase of the private key',
  }),
});

export const redisTls = z.strictObject({
  caFile: optionalText({
    ...FILE_PATH,
    readable: true,
    meaning: "PEM certificates to check a `rediss://` server with, instead of the system's",
  }),
  certFile: optionalText({ ...FILE_PATH, readable: true, meaning: 'PEM client certificate for Redis' }),
  keyFile: optionalText({
    ...FILE_PATH,
    readable: true,
    meaning: 'PEM private key of the client certificate',
  }),
  rejectUnauthorized: yesNo({
    standard: true,
    meaning: 'Reject a Redis server whose certificate is not valid',
  }),
});
