/**
 * What to do where one end does not trust the certificate of the other; null for any other error. `whose`: the server, as messages name
 * it. `setting`: which one has its address.
 */
export function certificateHint(
  { code = '' }: NodeJS.ErrnoException,
  whose: 'Redis' | 'the Sentinels' = 'Redis',
  setting = 'redis.url',
): string | null {
  if (/^ERR_SSL_.*ALERT_.*(CERTIFICATE|UNKNOWN_CA)/.test(code)) {
    return `the client certificate is missing, or not trusted by ${whose}: set redis.tls.certFile and redis.tls.keyFile`;
  }
  if (code === 'CERT_HAS_EXPIRED') return `the certificate of ${whose} has expired: renew it`;
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `the certificate of ${whose} is for another host than the one in ${setting}`;
  if (!/SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)/.test(code)) return null;
  return `the certificate of ${whose} is signed by nobody this node trusts: set redis.tls.caFile to the certificate of who signed it`;
}

/** The two ends may not agree on TLS: then one waits for the other, or hangs up. Null where they never met. */
export function tlsHint({ code = '' }: NodeJS.ErrnoException, isSecure: boolean): string | null {
  if (/^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH)$/.test(code)) return null;
  return isSecure
    ? 'that this port uses TLS (else use redis://)'
    : 'that this port does not require TLS (else use rediss://)';
}
