import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TestClient } from './client.ts';
import { isOnPath } from './on-path.ts';
import { freePort } from './ports.ts';
import { waitFor } from './wait.ts';

export const HAPROXY_CONFIG = fileURLToPath(new URL('../../deploy/haproxy/haproxy.cfg', import.meta.url));
export const hasHaproxy = isOnPath('haproxy', 'haproxy');

/** HAProxy with the configuration of the compose file, but for its ports, and nodes found by their ports in place of DNS. */
export class Balancer {
  readonly url: string;
  /** Everything it logged. */
  log = '';
  readonly #child: ChildProcess;
  readonly #folder: string;

  /** A test that fails leaves nothing behind. */
  readonly #exit = (): void => void this.#child.kill('SIGKILL');

  private constructor(port: number, child: ChildProcess, folder: string) {
    this.url = `http://127.0.0.1:${port}`;
    this.#child = child;
    child.stdout!.on('data', (text: Buffer) => {
      this.log += text.toString();
    });
    this.#folder = folder;
    process.once('exit', this.#exit);
  }

  static async start(
    nodes: readonly { readonly url: string }[],
    env: Record<string, string> = {},
    change: (config: string) => string = (config) => config,
  ): Promise<Balancer> {
    const [port, statistics] = [await freePort(), await freePort()];
    const servers = nodes.map(
      ({ url }, i) => `    server node${i} ${new URL(url).host.replace('localhost', '127.0.0.1')}`,
    );
    const config = readFileSync(HAPROXY_CONFIG, 'utf8')
      .replace('bind :8080', `bind 127.0.0.1:${port}`)
      .replace('bind :8404', `bind 127.0.0.1:${statistics}`)
      .replace(/^ *server-template .*$/m, servers.join('\n'));
    const folder = mkdtempSync(join(tmpdir(), 'roomcast-haproxy-'));
    writeFileSync(join(folder, 'haproxy.cfg'), change(config));
    const child = spawn('haproxy', ['-db', '-f', join(folder, 'haproxy.cfg')], {
      env: { PATH: process.env.PATH ?? '', ...env },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const balancer = new Balancer(port, child, folder);
    await waitFor(async () => (await fetch(`${balancer.url}/readyz`)).status > 0, {
      for: 'HAProxy',
    });
    return balancer;
  }

  connect(): Promise<TestClient> {
    return TestClient.connect(`${this.url.replace('http', 'ws')}/ws`);
  }

  async stop(): Promise<void> {
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
    process.off('exit', this.#exit);
    rmSync(this.#folder, { recursive: true });
  }
}
