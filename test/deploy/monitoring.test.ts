import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { testRegistry } from '../support/metrics.ts';
import { isOnPath } from '../support/on-path.ts';
import { DASHBOARDS, graphsOf, readDashboard } from './dashboards.ts';
import { parseQuery } from './promql.ts';

const DEPLOY = fileURLToPath(new URL('../../deploy/', import.meta.url));
const RUNBOOK = readFileSync(`${DEPLOY}RUNBOOK.md`, 'utf8');

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: {
    readonly summary: string;
    readonly description: string;
    readonly runbook_url: string;
  };
}

const alerts = (
  parse(readFileSync(`${DEPLOY}prometheus/alerts.yml`, 'utf8')) as { groups: { rules: Alert[] }[] }
).groups.flatMap(({ rules }) => rules);

const dashboards = DASHBOARDS.map(readDashboard);

/** Labels of everything that may be referred to, by the name of the series. Prometheus adds `job` and `instance`. */
function knownSeries(): ReadonlyMap<string, ReadonlySet<string>> {
  // Of Prometheus itself, and of the exporter of Redis that the Compose file has in a profile.
  const known = new Map<string, ReadonlySet<string>>(
    ['up', 'redis_up', 'redis_memory_used_bytes', 'redis_memory_max_bytes'].map((name) => [name, new Set()]),
  );
  for (const metric of testRegistry().getMetricsAsArray()) {
    const { name, type, labelNames } = metric as unknown as {
      name: string;
      type: string;
      labelNames: string[];
    };
    if (String(type) !== 'histogram') known.set(name, new Set(labelNames));
    else {
      known.set(`${name}_bucket`, new Set([...labelNames, 'le']));
      for (const suffix of ['_sum', '_count']) known.set(name + suffix, new Set(labelNames));
    }
  }
  return known;
}

const series = knownSeries();

/** What a query refers to and is not there. */
function unknownIn(expr: string): string[] {
  const { selectors, grouping } = parseQuery(expr);
  const added = ['job', 'instance'];
  const all = new Set([...added, ...selectors.flatMap(({ metric }) => [...(series.get(metric) ?? [])])]);
  return [
    ...selectors.filter(({ metric }) => !series.has(metric)).map(({ metric }) => metric),
    ...selectors.flatMap(({ metric, labels }) =>
      labels
        .filter((label) => !added.includes(label) && series.get(metric)?.has(label) === false)
        .map((label) => `${metric}{${label}}`),
    ),
    ...grouping.filter((label) => !all.has(label)),
  ];
}

describe('reading a query', () => {
  it('finds metrics, the labels they are filtered by, and those that results are grouped by', () => {
    const query = parseQuery(
      'sum by (job, le) (rate(a_bucket{x="1}", y!~"b|c"}[5m])) / on (job) clamp_min(b_total offset 5m, 1e3) and c == 0 or absent(d)',
    );
    expect(query.selectors).toEqual([
      { metric: 'a_bucket', labels: ['x', 'y'] },
      { metric: 'b_total', labels: [] },
      { metric: 'c', labels: [] },
      { metric: 'd', labels: [] },
    ]);
    expect(query.grouping).toEqual(['job', 'le', 'job']);
  });

  it('notices a metric, a label and a grouping that do not exist', () => {
    expect(unknownIn('roomcast_conections')).toEqual(['roomcast_conections']);
    expect(unknownIn('rate(roomcast_delivery_latency_seconds[5m])')).toEqual([
      'roomcast_delivery_latency_seconds',
    ]);
    expect(unknownIn('sum by (room) (roomcast_errors_total{reason="x"})')).toEqual([
      'roomcast_errors_total{reason}',
      'room',
    ]);
    expect(unknownIn('sum by (le, origin) (rate(roomcast_delivery_latency_seconds_bucket[5m]))')).toEqual([]);
  });
});

describe.each(dashboards)('the dashboard $title', (dashboard) => {
  const panels = graphsOf(dashboard);

  it('refers only to metrics and labels that nodes have', () => {
    const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
    expect([...queries, ...dashboard.annotations.list.map(({ expr }) => expr)].flatMap(unknownIn)).toEqual(
      [],
    );
    expect(queries.length).toBeGreaterThan(15);
  });

  it('says for every panel what it shows, and in what unit', () => {
    for (const { title, description = '', fieldConfig, targets = [] } of panels) {
      expect(title).not.toBe('');
      expect(description.length, title).toBeGreaterThan(20);
      expect(fieldConfig?.defaults.unit, title).toBeTruthy();
      expect(targets.length, title).toBeGreaterThan(0);
    }
  });

  it('reads everything from the data source that is provisioned, for the chosen job and nodes', () => {
    for (const { title, datasource, targets = [] } of panels) {
      expect(datasource?.uid, title).toBe('prometheus');
      for (const { expr, datasource } of targets) {
        expect(datasource.uid).toBe('prometheus');
        for (const { labels } of parseQuery(expr).selectors) {
          expect(labels, expr).toEqual(expect.arrayContaining(['job', 'instance']));
        }
      }
    }
    expect(dashboard.templating.list.map(({ name }) => name)).toEqual(['job', 'instance']);
  });

  it('has panels that do not overlap, under ids and titles of their own', () => {
    const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, at) => `${x + (at % w)},${y + Math.floor(at / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    expect(new Set(panels.map(({ title }) => title)).size).toBe(panels.length);
  });
});

it('the dashboards are what their source makes, each under a uid of its own', () => {
  const made = execFileSync(process.execPath, [`${DEPLOY}grafana/dashboards.mjs`, '--print'], {
    encoding: 'utf8',
  });
  const remedy = 'run node deploy/grafana/dashboards.mjs';
  expect(JSON.parse(made), remedy).toEqual(
    Object.fromEntries(DASHBOARDS.map((name, at) => [name, dashboards[at]])),
  );
  expect(new Set(dashboards.map(({ uid }) => uid)).size).toBe(DASHBOARDS.length);
});

describe('the alerts', () => {
  it('refer only to metrics and labels that nodes have', () => {
    expect(alerts.flatMap(({ expr }) => unknownIn(expr))).toEqual([]);
    expect(alerts.length).toBeGreaterThan(10);
  });

  it('have a severity, a summary, a description and an entry in the runbook', () => {
    for (const { alert, labels, annotations } of alerts) {
      expect(['critical', 'warning'], alert).toContain(labels.severity);
      expect(annotations.summary, alert).toBeTruthy();
      expect(annotations.description.length, alert).toBeGreaterThan(40);
      expect(annotations.runbook_url).toBe(`deploy/RUNBOOK.md#${alert.toLowerCase()}`);
      const entry = RUNBOOK.split(`### ${alert}\n`)[1]?.split(/^##/m)[0] ?? '';
      for (const part of ['**Means**: ', '**Look at**: ', '**Do**: ']) expect(entry, alert).toContain(part);
    }
  });

  it('are tested, each', () => {
    const tests = readFileSync(`${DEPLOY}prometheus/alerts.test.yml`, 'utf8');
    const firing = [...tests.matchAll(/alertname: (\w+)\n +exp_alerts:\n/g)].map(([, name]) => name);
    expect([...new Set(firing)].sort()).toEqual(alerts.map(({ alert }) => alert).sort());
  });

  it.skipIf(!isOnPath('promtool'))('are accepted by promtool, and fire as their tests say', () => {
    const promtool = (...args: string[]) => {
      const { status, stdout, stderr } = spawnSync('promtool', args, {
        cwd: `${DEPLOY}prometheus`,
        encoding: 'utf8',
      });
      return { status, output: stdout + stderr };
    };
    expect(promtool('check', 'rules', 'alerts.yml')).toMatchObject({ status: 0 });
    expect(promtool('test', 'rules', 'alerts.test.yml')).toMatchObject({ status: 0 });
  });
});

describe('the runbook', () => {
  it('has entries for alerts that exist, and no others', () => {
    const entries = [...RUNBOOK.matchAll(/^### (\w+)$/gm)].map(([, name]) => name);
    expect(entries.toSorted()).toEqual(alerts.map(({ alert }) => alert).sort());
  });

  it('names panels that exist', () => {
    const titles = dashboards.flatMap((dashboard) =>
      graphsOf(dashboard).map(({ title }) => `${dashboard.title.split(' / ')[1]} / ${title}`),
    );
    const named = [...RUNBOOK.matchAll(/\b(Overview|Node|Delivery)\s\/\s\*([^*]+)\*/g)].map(
      ([, dashboard, title]) => `${dashboard} / ${title!.replaceAll(/\s+/g, ' ')}`,
    );
    expect(named.length).toBeGreaterThan(40);
    expect(named.filter((name) => !titles.includes(name))).toEqual([]);
  });

  it('links to entries that exist', () => {
    const links = [...RUNBOOK.matchAll(/\]\(#(\w+)\)/g)].map(([, anchor]) => anchor);
    expect(links.filter((anchor) => !alerts.some(({ alert }) => alert.toLowerCase() === anchor))).toEqual([]);
  });
});
