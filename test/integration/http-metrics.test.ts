/** `/metrics`: who may read them, where, and what a flood of scrapes costs. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { readExposition } from '../../bench/hostile/ledger.ts';
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

  it('count what is not answered: requests that were given up, and connections without a request', async () => {
    const node = await start();
    const before = readExposition((await scrape(`${node.url}/metrics`)).text);
    const unfinished = 'POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"ro';
    await leave(node.url, unfinished);
    expect(await leave(node.url, 'GET / HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1\.1 505 /);
    const more = async (series: string) => {
      const { text } = await scrape(`${node.url}/metrics`);
      return (readExposition(text).get(series) ?? 0) - (before.get(series) ?? 0);
    };
    await expect.poll(() => more('roomcast_http_requests_aborted_total')).toBe(1);
    expect(await more('roomcast_sockets_opened_total')).toBeGreaterThanOrEqual(2);
    // Nobody was told of an error, and no answer was given.
    expect(await more('roomcast_errors_total{code="bad_request"}')).toBe(0);
    expect(await more('roomcast_http_requests_total{route="/v1/publish",status="4xx"}')).toBe(0);
  });

  it('count the sockets that the limit on open files turns away', async () => {
    const node = await NodeProcess.start({ openFiles: 200 });
    nodes.push(node);
    const { hostname, port } = new URL(node.url);
    const held = Array.from({ length: 200 }, () => connect(Number(port), hostname));
    const closed = held.map((socket) =>
      once(
        socket.on('error', () => undefined),
        'close',
      ),
    );
    // Those beyond the limit are closed at once.
    await Promise.race(closed);
    for (const socket of held) socket.destroy();
    await Promise.all(closed);
    const refused = async () =>
      readExposition((await scrape(`${node.url}/metrics`)).text).get('roomcast_sockets_refused_total');
    await expect.poll(refused).toBeGreaterThan(0);
  });
});

/** Sends this and nothing more; resolves with what was answered when the node has closed the connection. */
function leave(url: string, bytes: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    let received = '';
    const socket = connect(Number(port), hostname, () => socket.end(bytes));
    socket.on('data', (data) => {
      received += data;
    });
    socket.on('error', () => undefined);
    socket.once('close', () => resolve(received));
  });
}
