import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { isOnPath } from '../support/on-path.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

function read<T>(path: string): T {
  return parse(readFileSync(`${ROOT}${path}`, 'utf8')) as T;
}

interface Compose {
  readonly services: Readonly<
    Record<string, { readonly volumes?: readonly string[]; readonly environment?: object }>
  >;
}

interface ScrapeConfig {
  readonly job_name: string;
  readonly dns_sd_configs?: readonly {
    readonly names: readonly string[];
    readonly type: string;
    readonly port: number;
  }[];
}

const { services } = read<Compose>('docker-compose.yml');
const prometheus = read<{ rule_files: string[]; scrape_configs: ScrapeConfig[] }>(
  'deploy/prometheus/prometheus.yml',
);

/** The path on this machine of what a container sees there. */
function mounted(service: string, path: string): string {
  const volumes = (services[service]!.volumes ?? []).map((volume) => volume.split(':') as [string, string]);
  const [source, target] = volumes.find(([, inside]) => path.startsWith(inside))!;
  return `${ROOT}${source}${path.slice(target.length)}`;
}

describe('prometheus.yml', () => {
  it.skipIf(!isOnPath('promtool'))('is accepted by promtool', () => {
    const { status, stderr } = spawnSync(
      'promtool',
      ['check', 'config', `${ROOT}deploy/prometheus/prometheus.yml`],
      {
        encoding: 'utf8',
      },
    );
    expect({ status, stderr }).toMatchObject({ status: 0 });
  });

  it('finds every container of a service by its name, at the port that it listens on', () => {
    const ports: Record<string, number> = { node: 8080, haproxy: 8404, 'redis-exporter': 9121 };
    const found = prometheus.scrape_configs.flatMap(({ dns_sd_configs = [] }) => dns_sd_configs);
    expect(found.map(({ names }) => names[0])).toEqual(Object.keys(ports));
    for (const { names, type, port } of found) {
      expect(services).toHaveProperty(names[0]!);
      expect({ type, port }).toEqual({ type: 'A', port: ports[names[0]!] });
    }
  });

  it('loads rules that are there', () => {
    for (const file of prometheus.rule_files)
      expect(existsSync(`${ROOT}deploy/prometheus/${file}`), file).toBe(true);
  });
});

describe('the provisioning of Grafana', () => {
  const { datasources } = read<{ datasources: { uid: string; url: string }[] }>(
    'deploy/grafana/provisioning/datasources/prometheus.yml',
  );
  const { providers } = read<{ providers: { options: { path: string } }[] }>(
    'deploy/grafana/provisioning/dashboards/roomcast.yml',
  );

  it('names the Prometheus of the compose file', () => {
    expect(datasources).toMatchObject([{ uid: 'prometheus', url: 'http://prometheus:9090' }]);
    expect(services).toHaveProperty('prometheus');
  });

  it('finds the dashboards where the compose file mounts them, and opens with one of them', () => {
    const { GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH: home } = services.grafana!.environment as Record<
      string,
      string
    >;
    expect(home!.startsWith(`${providers[0]!.options.path}/`)).toBe(true);
    expect(existsSync(mounted('grafana', home!))).toBe(true);
  });

  it('has a data source for every panel', () => {
    for (const name of ['overview', 'node', 'delivery']) {
      const text = readFileSync(mounted('grafana', `${providers[0]!.options.path}/${name}.json`), 'utf8');
      const uids = [...text.matchAll(/"datasource":\s*\{[^}]*"uid":\s*"([^"]+)"/g)].map(([, uid]) => uid);
      expect(uids.length).toBeGreaterThan(5);
      expect(new Set(uids)).toEqual(new Set([datasources[0]!.uid]));
    }
  });
});
