/** The cluster of docker-compose.yml, on a real engine, under a project name and on ports of its own. */

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePort } from '../support/ports.ts';
import { untilReadyz } from '../support/readyz.ts';
import { waitFor } from '../support/wait.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PROJECT = 'roomcast-check';
const SERVICES = ['redis', 'node', 'haproxy', 'prometheus', 'grafana'];
const WANTED_FILES = 65_536;

/** One line of the balancer's statistics. */
export interface BalancerServer {
  readonly name: string;
  readonly status: string;
  /** Of its last health check: `L7OK`, or what was wrong. A server that was never checked counts as up. */
  readonly check: string;
  readonly sessions: number;
}

export interface ScrapeTarget {
  readonly job: string;
  readonly health: string;
}

export class ComposeCluster {
  /** Left out, for engines that cannot get every image: `WITHOUT=grafana`. */
  readonly without: readonly string[] = (process.env.WITHOUT ?? '').split(',').filter((name) => name !== '');
  readonly #command: readonly string[];
  readonly #env: Record<string, string>;
  readonly #ports: Readonly<Record<'public' | 'statistics' | 'prometheus', number>>;

  private constructor(
    command: readonly string[],
    ports: Readonly<Record<'public' | 'statistics' | 'prometheus', number>>,
    env: Record<string, string>,
  ) {
    this.#command = command;
    this.#ports = ports;
    this.#env = env;
  }

  /** Finds `docker compose` or the older `docker-compose`. `env`: what .env would set. Starts nothing. */
  static async prepare(env: Readonly<Record<string, string>>): Promise<ComposeCluster> {
    const hasPlugin = await run('docker', ['compose', 'version']).then(
      () => true,
      () => false,
    );
    const ports = {
      public: await freePort(),
      statistics: await freePort(),
      prometheus: await freePort(),
    };
    return new ComposeCluster(hasPlugin ? ['docker', 'compose'] : ['docker-compose'], ports, {
      ...(process.env as Record<string, string>),
      OPEN_FILES: String(await openFiles()),
      ROOMCAST_PUBLISHED_PORT: String(ports.public),
      HAPROXY_STATS_PORT: String(ports.statistics),
      PROMETHEUS_PORT: String(ports.prometheus),
      GRAFANA_PORT: String(await freePort()),
      ...env,
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#ports.public}`;
  }

  get wsUrl(): string {
    return `ws://127.0.0.1:${this.#ports.public}/ws`;
  }

  get services(): string[] {
    return SERVICES.filter((name) => !this.without.includes(name));
  }

  async compose(...args: readonly string[]): Promise<string> {
    const [program, ...first] = this.#command;
    const options = { cwd: ROOT, env: this.#env, maxBuffer: 64 * 1024 * 1024 };
    return (await run(program!, [...first, '-p', PROJECT, ...args], options)).stdout;
  }

  async docker(...args: readonly string[]): Promise<string> {
    return (await run('docker', [...args], { env: this.#env })).stdout;
  }

  /** Resolves when the balancer has a node to send clients to. */
  async up(): Promise<void> {
    await this.compose('up', '-d', '--no-build', ...this.services);
    await untilReadyz(this.url, 200, { timeoutMs: 60_000, for: 'the balancer to have a node' });
  }

  scale(nodes: number, ...flags: readonly string[]): Promise<string> {
    return this.compose('up', '-d', '--no-build', '--no-deps', ...flags, '--scale', `node=${nodes}`, 'node');
  }

  down(): Promise<string> {
    return this.compose('--profile', 'load', '--profile', 'cluster', 'down', '-v', '--timeout', '20');
  }

  /** Ids of a service's containers that run. */
  async containers(service: string): Promise<string[]> {
    const filters = [`project=${PROJECT}`, `service=${service}`];
    const labels = filters.flatMap((filter) => ['--filter', `label=com.docker.compose.${filter}`]);
    return (await this.docker('ps', '-q', ...labels)).split('\n').filter((id) => id !== '');
  }

  /** What the engine says of each container: `healthy`, `starting`, `unhealthy`, or `running` without a health check. */
  async states(): Promise<Record<string, string>> {
    const ids = (await Promise.all(this.services.map((service) => this.containers(service)))).flat();
    const format = '{{.Name}} {{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}';
    const lines = (await this.docker('inspect', '--format', format, ...ids)).trim().split('\n');
    return Object.fromEntries(lines.map((line) => line.slice(1).split(' ') as [string, string]));
  }

  /** Servers of the balancer that have an address. */
  async balancerServers(): Promise<BalancerServer[]> {
    const url = `http://127.0.0.1:${this.#ports.statistics}/;csv`;
    const [head, ...lines] = (await (await fetch(url)).text()).trim().split('\n');
    const columns = head!.replace('# ', '').split(',');
    const column = (line: string, name: string) => line.split(',')[columns.indexOf(name)] ?? '';
    return lines
      .filter((line) => column(line, 'pxname') === 'nodes' && column(line, 'svname') !== 'BACKEND')
      .map((line) => ({
        name: column(line, 'svname'),
        status: column(line, 'status'),
        check: column(line, 'check_status'),
        sessions: Number(column(line, 'scur')),
      }))
      .filter(({ status }) => !status.startsWith('MAINT'));
  }

  /** Resolves when the balancer sends new clients to exactly this many nodes. */
  async balanced(nodes: number): Promise<void> {
    const up = async () =>
      (await this.balancerServers()).filter(
        ({ status, check }) => status.startsWith('UP') && check === 'L7OK',
      );
    await waitFor(async () => (await up()).length === nodes, {
      timeoutMs: 60_000,
      intervalMs: 100,
      for: `the balancer to have ${nodes} nodes`,
    });
  }

  /** What a person does, too: tells a container to stop, starts it, and waits until it answers. */
  async restart(container: string): Promise<void> {
    await this.docker('restart', '-t', '30', container);
    await waitFor(() => this.docker('exec', container, 'node', '/app/healthcheck.mjs').then(() => true), {
      timeoutMs: 30_000,
      for: 'the container to answer',
    });
  }

  async targets(): Promise<ScrapeTarget[]> {
    const { activeTargets } = (await this.#prometheus('/api/v1/targets')) as {
      activeTargets: { labels: { job: string }; health: string }[];
    };
    return activeTargets.map(({ labels, health }) => ({ job: labels.job, health }));
  }

  /** The value of a query that gives one, now; null where it gives none. */
  async query(expression: string): Promise<number | null> {
    const { result } = (await this.#prometheus(`/api/v1/query?query=${encodeURIComponent(expression)}`)) as {
      result: { value: [number, string] }[];
    };
    return result[0] === undefined ? null : Number(result[0].value[1]);
  }

  async #prometheus(path: string): Promise<unknown> {
    const response = await fetch(`http://127.0.0.1:${this.#ports.prometheus}${path}`);
    return ((await response.json()) as { data: unknown }).data;
  }
}

/** What the compose file asks for, or what this machine grants. */
async function openFiles(): Promise<number> {
  const { stdout } = await run('sh', ['-c', 'ulimit -Hn']);
  return Math.min(WANTED_FILES, Number(stdout) || WANTED_FILES);
}
