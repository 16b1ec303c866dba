import { expect, it } from 'vitest';
import { withRemedy } from '../../src/cli/remedy.ts';

it.each([
  [
    'wss://a',
    'unable to verify the first certificate',
    /certificate: for an authority .* NODE_EXTRA_CA_CERTS/,
  ],
  ['https://a', 'self-signed certificate in certificate chain', /NODE_EXTRA_CA_CERTS/],
  [
    'wss://127.0.0.1',
    "Hostname/IP does not match certificate's altnames: IP: 127.0.0.1 is not in the cert's list: ",
    /list: use a name in the URL that the certificate is for$/,
  ],
  ['wss://a', 'certificate has expired', /^certificate has expired: it must be renewed/],
  [
    'wss://a',
    'write EPROTO 80FC:error:0A00010B:SSL routines:ssl3_get_record:wrong version number:../ssl3_record.c:350:\n',
    /^what answers there does not use TLS: use ws:\/\//,
  ],
  ['ws://a', 'socket hang up', /^socket hang up: if this port uses TLS, use wss:\/\//],
  ['http://a', 'other side closed', /^other side closed: if this port uses TLS/],
  ['wss://a', 'socket hang up', /^socket hang up$/],
  ['ws://a', 'connect ECONNREFUSED 127.0.0.1:1', /^connect ECONNREFUSED 127\.0\.0\.1:1$/],
])('at %s "%s" has its remedy', (url, reason, expected) => {
  expect(withRemedy(reason, url)).toMatch(expected);
});
