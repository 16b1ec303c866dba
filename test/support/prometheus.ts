/** A real `prometheus` of the test's own that scrapes nodes every second. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './ports.ts';
import { waitFor } from './wait.ts';

export interface PrometheusOptions {
  /** `host:port` of each node. */
  readonly targets: readonly string[];
  /** Files with alerts. */
  readonly rules: readonly string[];
}

export class Prometheus {
  readonly url: string;
  readonly #folder: string;
  readonly #process: ChildProcess;
  #output = '';

  private constructor(port: number, folder: string) {
    this.url = `http://127.0.0.1:${port}`;
    this.#folder = folder;
    const flags = {
      'config.file': join(folder, 'prometheus.yml'),
      'storage.tsdb.path': join(folder, 'data'),
      'web.listen-address': `127.0.0.1:${port}`,
      'log.level': 'warn',
    };
    const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    this.#process = spawn('prometheus', args, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#process.stderr!.on('data', (data: Buffer) => {
      this.#output = (this.#output + data.toString()).slice(-4000);
    });
    process.once('exit', this.#kill);
  }

  /** Resolves when it answers. */
  static async start({ targets, rules }: PrometheusOptions): Promise<Prometheus> {
    const folder = await mkdtemp(join(tmpdir(), 'roomcast-prometheus-'));
    const config = {
      global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
      rule_files: rules,
      scrape_configs: [{ job_name: 'roomcast', static_configs: [{ targets }] }],
    };
    // JSON is YAML.
    await writeFile(join(folder, 'prometheus.yml'), JSON.stringify(config));
    const prometheus = new Prometheus(await freePort(), folder);
    await prometheus.#ready();
    return prometheus;
  }

  /** The body of an answer of its HTTP API, as `/api/v1/rules`. */
  async get<T>(path: string): Promise<T> {
    const response = await fetch(new URL(path, this.url));
    return ((await response.json()) as { data: T }).data;
  }

  async dispose(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const exited = once(this.#process, 'exit');
      this.#kill();
      await exited;
    }
    process.off('exit', this.#kill);
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #ready(): Promise<void> {
    const ended = once(this.#process, 'exit').then(() => {
      throw new Error(`prometheus ended: ${this.#output}`);
    });
    // It also ends in the end, when nobody waits for this any more.
    ended.catch(() => undefined);
    const answers = async () => (await fetch(`${this.url}/-/ready`)).ok;
    await Promise.race([ended, waitFor(answers, { timeoutMs: 15_000, for: 'prometheus to be ready' })]);
  }

  readonly #kill = (): void => {
    this.#process.kill('SIGKILL');
  };
}
