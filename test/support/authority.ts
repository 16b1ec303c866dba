/** A certificate authority of the test's own, made with `openssl`, and the certificates that it signs. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
if (!hasOpenssl) console.warn('skipped: the TLS tests need openssl on the PATH');

/** Paths of PEM files. */
export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

export class Authority {
  /** PEM file of the certificate to trust. */
  readonly caFile: string;
  readonly #folder: string;
  readonly #keyFile: string;
  #issued = 0;

  constructor(name: string) {
    this.#folder = mkdtempSync(join(tmpdir(), 'roomcast-ca-'));
    this.caFile = this.#at('ca.pem');
    this.#keyFile = this.#at('ca.key');
    const ca = ['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign'];
    openssl('req', '-x509', '-days', '2', '-subj', `/CN=${name}`, ...ca, ...NEW_KEY, [
      ...['-keyout', this.#keyFile, '-out', this.caFile],
    ]);
  }

  get ca(): string {
    return readFileSync(this.caFile, 'utf8');
  }

  /** A certificate for `localhost` and 127.0.0.1, that clients may use too. */
  issue(name: string): CertificateFiles {
    const base = `${name}-${++this.#issued}`;
    const [certFile, keyFile] = [this.#at(`${base}.pem`), this.#at(`${base}.key`)];
    const [request, extensions] = [this.#at(`${base}.csr`), this.#at(`${base}.ext`)];
    writeFileSync(
      extensions,
      'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n',
    );
    openssl('req', '-new', '-subj', `/CN=${name}`, ...NEW_KEY, ['-keyout', keyFile, '-out', request]);
    openssl('x509', '-req', '-days', '2', '-in', request, '-CA', this.caFile, '-CAkey', this.#keyFile, [
      ...['-CAcreateserial', '-extfile', extensions, '-out', certFile],
    ]);
    return { certFile, keyFile };
  }

  dispose(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #at(file: string): string {
    return join(this.#folder, file);
  }
}

function openssl(...args: readonly (string | readonly string[])[]): void {
  execFileSync('openssl', args.flat(), { stdio: ['ignore', 'ignore', 'pipe'] });
}
