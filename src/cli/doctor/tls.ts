import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Config } from '../../config/config.ts';
import { type Finding, ok, problem, warning } from './finding.ts';

const ABOUT = 'tls';
const DAY_MS = 86_400_000;
const SOON_DAYS = 14;

/** The certificate that nodes present, if they serve TLS themselves. `nowMs`: since the Unix epoch. */
export function checkTls({ tls, trustProxy }: Config, nowMs: number): Finding[] {
  if (tls === null) {
    return [
      ok(
        ABOUT,
        'nodes do not serve TLS themselves',
        trustProxy
          ? 'check that the proxy in front does, and that clients cannot bypass it'
          : 'put a proxy with TLS in front (and set trustProxy), or set tls.certFile and tls.keyFile',
      ),
    ];
  }
  try {
    const certificate = new X509Certificate(readFileSync(tls.certFile));
    const passphrase = tls.passphrase === null ? {} : { passphrase: tls.passphrase };
    const key = createPrivateKey({ key: readFileSync(tls.keyFile), ...passphrase });
    if (!certificate.checkPrivateKey(key)) {
      return [
        problem(ABOUT, `${tls.keyFile} is not the key of ${tls.certFile}`, 'use files that belong together'),
      ];
    }
    return [expiry(certificate, nowMs)];
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return [
      problem(ABOUT, `cannot use ${tls.certFile} with ${tls.keyFile}: ${reason}`, 'both must be PEM files'),
    ];
  }
}

function expiry({ validFrom, validTo }: X509Certificate, nowMs: number): Finding {
  const days = Math.floor((Date.parse(validTo) - nowMs) / DAY_MS);
  if (Date.parse(validFrom) > nowMs) {
    return problem(ABOUT, `the certificate is not valid before ${validFrom}`, 'check the clock, or wait');
  }
  if (days < 0)
    return problem(ABOUT, `the certificate expired on ${validTo}`, 'renew it and send the nodes SIGHUP');
  if (days >= SOON_DAYS) return ok(ABOUT, `the certificate is valid for ${days} days`);
  return warning(
    ABOUT,
    `the certificate expires within ${days + 1} days`,
    'renew it and send the nodes SIGHUP: connections stay',
  );
}
