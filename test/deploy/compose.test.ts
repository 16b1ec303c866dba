import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { isOnPath } from '../support/on-path.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const text = readFileSync(`${ROOT}docker-compose.yml`, 'utf8');
const exampleEnv = readFileSync(`${ROOT}.env.example`, 'utf8');

interface Service {
  readonly image: string;
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly environment?: Readonly<Record<string, string | null>>;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly networks: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test?: unknown; readonly disable?: boolean };
  readonly restart: string;
  readonly profiles?: readonly string[];
  readonly deploy: { readonly resources: { readonly limits: Readonly<Record<string, string>> } };
}

const file = parse(text, { merge: true }) as {
  services: Record<string, Service>;
  networks: Record<string, unknown>;
  volumes: Record<string, unknown>;
};
const services = Object.entries(file.services);

/** `${NAME:-standard}` throughout the file, and names whose value is taken from .env as it is. */
const interpolated = new Map(
  [...text.matchAll(/(?<!\$)\$\{(\w+):-([^}]*)\}/g)].map(([, name, standard]) => [name!, standard!]),
);
const passedOn = services.flatMap(([, { environment = {} }]) =>
  Object.keys(environment).filter((name) => environment[name] === null),
);
const inExample = new Map(
  [...exampleEnv.matchAll(/^#?([A-Z0-9_]+)=(.*)$/gm)].map(([, name, value]) => [name!, value!]),
);

/** The value that a variable has where .env is silent. */
function standard(value: string | null): string | undefined {
  return value?.replace(/\$\{(\w+):-([^}]*)\}/g, '$2');
}

/** Whether others wait for its end. */
function isAwaited(name: string): boolean {
  return services.some(
    ([, { depends_on = {} }]) => depends_on[name]?.condition === 'service_completed_successfully',
  );
}

describe('docker-compose.yml', () => {
  it.each(services)('%s has a pinned image, limits, a restart policy and a health check', (name, service) => {
    expect(service.image).toMatch(/^[\w./-]+:(v?\d+\.\d+\.\d+|local)$/);
    expect(Object.keys(service.deploy.resources.limits)).toEqual(['cpus', 'memory']);
    // One that does its work and ends is started again only where it failed.
    expect(service.restart).toBe(isAwaited(name) ? 'on-failure' : 'unless-stopped');
    if (service.profiles === undefined) expect(service.healthcheck?.test).toBeDefined();
  });

  it.each(services)('%s refers to nothing that is not there', (_, service) => {
    for (const name of Object.keys(service.depends_on ?? {})) expect(file.services).toHaveProperty(name);
    for (const name of service.networks) expect(Object.keys(file.networks)).toContain(name);
    for (const volume of service.volumes ?? []) {
      const [source] = volume.split(':') as [string];
      if (source.startsWith('.')) expect(existsSync(`${ROOT}${source}`), source).toBe(true);
      else expect(Object.keys(file.volumes)).toContain(source);
    }
    if (service.build) expect(existsSync(`${ROOT}${service.build.dockerfile}`)).toBe(true);
  });

  it.each(services)('%s waits for the health only of what has a health check', (_, service) => {
    for (const [name, { condition }] of Object.entries(service.depends_on ?? {})) {
      if (condition === 'service_healthy') expect(file.services[name]!.healthcheck?.test).toBeDefined();
    }
  });

  it('publishes every port on an address and a number that .env can change, this machine alone by default', () => {
    const ports = services.flatMap(([, service]) => service.ports ?? []);
    expect(ports.length).toBeGreaterThanOrEqual(4);
    for (const port of ports) {
      expect(port).toMatch(/^\$\{PUBLISH_ADDRESS(_ADMIN)?:-127\.0\.0\.1\}:\$\{\w+:-\d+\}:\d+$/);
    }
  });

  it.each([
    ['node', { url: 'redis://redis:6379', cluster: false }],
    [
      'cluster-node',
      { url: 'redis://redis-1:6379,redis://redis-2:6379,redis://redis-3:6379', cluster: true },
    ],
  ])('gives %s settings that it takes', (name, redis) => {
    const { environment = {} } = file.services[name]!;
    const env = Object.fromEntries(
      Object.entries(environment).map(([key, value]) => [key, standard(value) ?? '']),
    );
    const result = loadConfig({ env: { ...env, NODE_ENV: 'production' } });
    expect(result).toMatchObject({ config: { demo: true, trustProxy: true, redis } });
  });

  it('makes the Redis Cluster of the servers that it starts', () => {
    const { environment, depends_on } = file.services['redis-cluster']!;
    const servers = environment!.CLUSTER_SERVERS!.split(' ').map((server) => server.split(':')[0]!);
    expect(Object.keys(depends_on!)).toEqual(servers);
    for (const server of servers) {
      expect(file.services[server]!.volumes).toEqual([
        './deploy/redis:/etc/redis:ro',
        `${server}-data:/data`,
      ]);
    }
  });
});

describe('.env.example', () => {
  it('lists what the compose file takes from .env, and nothing else', () => {
    expect([...inExample.keys()].sort()).toEqual([...new Set([...interpolated.keys(), ...passedOn])].sort());
  });

  it('shows the defaults of the compose file', () => {
    for (const [name, value] of interpolated)
      expect(`${name}=${inExample.get(name)}`).toBe(`${name}=${value}`);
  });

  it('shows settings that nodes take', () => {
    const env = Object.fromEntries([...inExample].filter(([name]) => passedOn.includes(name)));
    expect(loadConfig({ env })).toHaveProperty('config');
  });
});

describe('the image', () => {
  const dockerfile = readFileSync(`${ROOT}deploy/Dockerfile`, 'utf8');
  const sources = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, paths]) =>
    paths!.split(' '),
  );
  const allowed = [...readFileSync(`${ROOT}.dockerignore`, 'utf8').matchAll(/^!(.+)$/gm)].map(
    ([, path]) => path!,
  );

  it('is built from files that are there and that .dockerignore lets in', () => {
    expect(sources.length).toBeGreaterThan(8);
    for (const source of sources) {
      expect(existsSync(`${ROOT}${source}`), source).toBe(true);
      expect(
        allowed.some((path) => path === source || path.startsWith(`${source}/`)),
        source,
      ).toBe(true);
    }
  });

  it('runs without root and checks for life, not for readiness', () => {
    expect(dockerfile).toMatch(/^USER 10001:10001$/m);
    expect(readFileSync(`${ROOT}deploy/healthcheck.mjs`, 'utf8')).toContain("path: '/healthz'");
  });
});

/** `docker compose`, or the older `docker-compose`. */
function findCompose(): readonly string[] | null {
  const hasPlugin =
    isOnPath('docker', 'docker.io') && spawnSync('docker', ['compose', 'version']).status === 0;
  if (hasPlugin) return ['docker', 'compose'];
  return isOnPath('docker-compose', 'docker-compose') ? ['docker-compose'] : null;
}

const COMPOSE = findCompose();

describe.skipIf(COMPOSE === null)('as Docker Compose reads it', () => {
  it('is valid, profiles included', () => {
    const [program, ...args] = COMPOSE!;
    const profiles = ['load', 'redis-metrics', 'cluster'].flatMap((name) => ['--profile', name]);
    const { status, stderr } = spawnSync(program!, [...args, ...profiles, 'config', '-q'], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    expect({ status, stderr }).toMatchObject({ status: 0 });
  });
});
