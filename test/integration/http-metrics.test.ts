/** `/metrics`: who may read them, where, and what a flood of scrapes costs. */
import { afterEach, describe, expect, it } from 'vitest';
import { readMetric } from '../support/metrics.ts';
import { NodeProcess } from '../support/node-process.ts';

const nodes: NodeProcess[] = [];

async function start(env: Record<string, string> = {}): Promise<NodeProcess> {
  const node = await NodeProcess.start({ env });
  nodes.push(node);
  return node;
}

afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.stop()));
});

async function scrape(url: string, key?: string) {
  const answer = await fetch(url, key === undefined ? {} : { headers: { Authorization: `Bearer ${key}` } });
  return { status: answer.status, text: await answer.text() };
}

/** Where the node says that it serves its metrics. */
async function metricsUrl(node: NodeProcess): Promise<string> {
  const { metrics } = await node.logged(({ event }) => event === 'listening');
  return metrics as string;
}

describe('metrics', () => {
  it('are rendered a few times a second, however many ask, and what is counted only grows', async () => {
    const node = await start({ ROOMCAST_METRICS_RENDERS_PER_SECOND: '2' });
    const series = 'roomcast_http_requests_total{route="/metrics",status="2xx"}';
    const counts: number[] = [];
    const startedMs = performance.now();
    for (let round = 0; round < 60; round++) {
      const texts = await Promise.all(Array.from({ length: 5 }, () => scrape(`${node.url}/metrics`)));
      for (const { text } of texts) counts.push(readMetric(text, series)!);
    }
    const seconds = (performance.now() - startedMs) / 1000;
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
    // Each rendering counts more answers than the one before: as many numbers as there were renderings.
    expect(new Set(counts).size).toBeLessThanOrEqual(2 + Math.ceil(2 * seconds));
    const last = async () => readMetric((await scrape(`${node.url}/metrics`)).text, series)!;
    await expect.poll(last, { timeout: 5000 }).toBeGreaterThanOrEqual(300);
  });

  it('ask for a key of their own, if there is one', async () => {
    const node = await start({
      ROOMCAST_METRICS_KEY: 'the-key-of-metrics',
      ROOMCAST_API_KEYS: 'the-key-of-the-api',
    });
    const url = `${node.url}/metrics`;
    expect((await scrape(url)).status).toBe(401);
    expect((await scrape(url, 'the-key-of-the-api')).status).toBe(401);
    expect((await scrape(url, 'the-key-of-metrics')).status).toBe(200);
    expect((await fetch(url, { method: 'HEAD' })).status).toBe(401);
    expect((await scrape(`${node.url}/v1/nodes`, 'the-key-of-metrics')).status).toBe(401);
  });

  it('are served on a port of their own and nowhere else, if there is one', async () => {
    const node = await start({ ROOMCAST_METRICS_PORT: '0', ROOMCAST_METRICS_HOST: '127.0.0.1' });
    const url = await metricsUrl(node);
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/metrics$/);
    expect((await scrape(url)).text).toContain('roomcast_build_info');
    expect((await scrape(`${node.url}/metrics`)).status).toBe(404);
    for (const path of ['/healthz', '/v1/nodes', '/', '/ws']) {
      expect((await fetch(new URL(path, url))).status).toBe(404);
    }
    expect((await fetch(url, { method: 'POST' })).status).toBe(405);
  });

  it('may have both', async () => {
    const node = await start({ ROOMCAST_METRICS_PORT: '0', ROOMCAST_METRICS_KEY: 'the-key-of-metrics' });
    const url = await metricsUrl(node);
    expect((await scrape(url)).status).toBe(401);
    expect((await scrape(url, 'the-key-of-metrics')).status).toBe(200);
  });

  it('whose port is taken end the start with a sentence', async () => {
    const first = await start();
    const taken = new URL(first.url).port;
    const failing = NodeProcess.start({ env: { ROOMCAST_METRICS_PORT: taken } });
    await expect(failing).rejects.toThrow(`cannot listen on 0.0.0.0:${taken}`);
  });
});
