import { Histogram, Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import type { BackplaneMetrics } from '../../src/backplane/metrics.ts';
import { CLOSE_CODES, COMMAND_TYPES, ERROR_CODES } from '../../src/metrics/labels.ts';
import { NodeMetrics } from '../../src/metrics/node-metrics.ts';
import { SampledHistogram } from '../../src/metrics/sampled-histogram.ts';
import { histogramBy } from '../../src/metrics/sampled-metric.ts';
import { CLOSE, ERROR_STATUS } from '../../src/protocol/codes.ts';
import type { CommandType } from '../../src/protocol/frames.ts';
import { idleSamples, readMetric, testRegistry } from '../support/metrics.ts';

const COMMANDS = {
  join: 1,
  leave: 1,
  publish: 1,
  presence: 1,
  members: 1,
  history: 1,
  ack: 1,
  auth: 1,
  ping: 1,
} satisfies Record<CommandType, 1>;

describe('label sets', () => {
  it('hold exactly the error codes of the protocol', () => {
    expect([...ERROR_CODES].sort()).toEqual(Object.keys(ERROR_STATUS).sort());
  });

  it('hold exactly the commands of the protocol', () => {
    expect([...COMMAND_TYPES].sort()).toEqual(Object.keys(COMMANDS).sort());
  });

  it('hold every close code that a node sends', () => {
    const sent = Object.values(CLOSE).map(({ code }) => code);
    expect(CLOSE_CODES).toEqual(expect.arrayContaining(sent));
  });
});

describe('SampledHistogram', () => {
  it('puts a value that equals a bound into the bucket of that bound', () => {
    const histogram = new SampledHistogram([1, 2]);
    for (const value of [0.5, 1, 1.5, 2, 2.5]) histogram.observe(value);
    expect(histogram.cumulative()).toEqual([2, 4, 5]);
    expect(histogram.count).toBe(5);
    expect(histogram.sum).toBe(7.5);
  });

  it('counts values that are not positive and finite as zero', () => {
    const histogram = new SampledHistogram([1, 2]);
    for (const value of [-3, Number.NaN, Number.POSITIVE_INFINITY]) histogram.observe(value);
    expect(histogram.cumulative()).toEqual([3, 3, 3]);
    expect(histogram.sum).toBe(0);
  });

  it('refuses bounds that do not rise', () => {
    expect(() => new SampledHistogram([1, 1])).toThrow('must be ascending');
  });

  it("renders byte for byte as prom-client's own histogram", async () => {
    const bounds = [0.001, 0.25, 1];
    const theirs = new Registry();
    const reference = new Histogram({
      name: 'h_seconds',
      help: 'h',
      labelNames: ['origin'],
      buckets: [...bounds],
      registers: [theirs],
    });
    const ours = new Registry();
    const sources = { local: new SampledHistogram(bounds), remote: new SampledHistogram(bounds) };
    histogramBy('origin', 'h_seconds', 'h', sources).register(ours);
    for (const origin of ['local', 'remote'] as const) {
      for (const value of [0.0005, 0.001, 0.3, 5]) {
        reference.observe({ origin }, value);
        sources[origin].observe(value);
      }
    }
    // prom-client writes `le` before the other labels; the order of labels means nothing.
    expect(sortLabels(await ours.metrics())).toBe(sortLabels(await theirs.metrics()));
  });
});

describe('createRegistry', () => {
  it('reads the numbers of a node when it is scraped', async () => {
    const metrics = new NodeMetrics();
    const registry = testRegistry(metrics);
    metrics.connections.opened.msgpack++;
    metrics.errors.rate_limited += 2;
    metrics.messages.delivered += 1000;
    metrics.messages.deliveryLatency.remote.observe(0.002);
    metrics.http.count('/v1/publish', 503, 0.01);
    const text = await registry.metrics();
    expect(readMetric(text, 'roomcast_connections_opened_total{encoding="msgpack"}')).toBe(1);
    expect(readMetric(text, 'roomcast_connections_opened_total{encoding="json"}')).toBe(0);
    expect(readMetric(text, 'roomcast_errors_total{code="rate_limited"}')).toBe(2);
    expect(readMetric(text, 'roomcast_messages_delivered_total')).toBe(1000);
    expect(readMetric(text, 'roomcast_delivery_latency_seconds_count{origin="remote"}')).toBe(1);
    expect(readMetric(text, 'roomcast_http_requests_total{route="/v1/publish",status="5xx"}')).toBe(1);
  });

  it('calls the samples at each scrape', async () => {
    let rooms = 0;
    const registry = testRegistry(new NodeMetrics(), { ...idleSamples, rooms: () => ++rooms });
    expect(readMetric(await registry.metrics(), 'roomcast_rooms')).toBe(1);
    expect(readMetric(await registry.metrics(), 'roomcast_rooms')).toBe(2);
  });

  it('counts a close code that a client made up as other', async () => {
    const metrics = new NodeMetrics();
    metrics.connections.countClose(4008);
    metrics.connections.countClose(4321);
    const text = await testRegistry(metrics).metrics();
    expect(readMetric(text, 'roomcast_connections_closed_total{code="4008"}')).toBe(1);
    expect(readMetric(text, 'roomcast_connections_closed_total{code="other"}')).toBe(1);
    // Of this series: the default metrics' values may hold these digits by chance.
    const closed = text.split('\n').filter((line) => line.includes('roomcast_connections_closed_total'));
    expect(closed.join('\n')).not.toContain('4321');
  });

  it('turns the milliseconds of the backplane into seconds', async () => {
    const metrics = new NodeMetrics();
    // The compiler holds the stats to what a backplane calls.
    const reported: BackplaneMetrics = metrics.backplane;
    reported.publishBatch(64, 3, 9000, 2);
    const text = await testRegistry(metrics).metrics();
    expect(readMetric(text, 'roomcast_backplane_batch_duration_seconds_sum')).toBe(0.002);
    expect(readMetric(text, 'roomcast_backplane_batch_messages_bucket{le="50"}')).toBe(0);
    expect(readMetric(text, 'roomcast_backplane_batch_messages_bucket{le="100"}')).toBe(1);
  });

  it('shows a link from its first report on, with no reconnects yet', async () => {
    const metrics = new NodeMetrics();
    const registry = testRegistry(metrics);
    const reconnects = 'roomcast_backplane_reconnects_total{link="subscribe"}';
    expect(readMetric(await registry.metrics(), reconnects)).toBeUndefined();
    metrics.backplane.linkState('subscribe', true);
    expect(readMetric(await registry.metrics(), reconnects)).toBe(0);
    metrics.backplane.linkState('subscribe', false);
    metrics.backplane.reconnected('subscribe');
    const text = await registry.metrics();
    expect(readMetric(text, reconnects)).toBe(1);
    expect(readMetric(text, 'roomcast_backplane_link_up{link="subscribe"}')).toBe(0);
  });

  it('includes the process, the event loop and the build', async () => {
    const text = await testRegistry().metrics();
    expect(readMetric(text, 'nodejs_eventloop_lag_p99_seconds')).toBeGreaterThanOrEqual(0);
    expect(readMetric(text, 'process_cpu_seconds_total')).toBeGreaterThan(0);
    const build = `roomcast_build_info{version="1.2.3",node_version="${process.version}",uws="20.49.0"}`;
    expect(readMetric(text, build)).toBe(1);
  });

  it('names every metric by the convention and gives no series twice', async () => {
    const text = await testRegistry().metrics();
    for (const [, name, type] of text.matchAll(/^# TYPE (roomcast_\S+) (\S+)$/gm)) {
      expect(name!.endsWith('_total'), name).toBe(type === 'counter');
    }
    const series = text.match(/^[^#\s].* /gm)!;
    expect(new Set(series).size).toBe(series.length);
  });

  it('refuses to reset counters', () => {
    const registry = testRegistry();
    expect(() => registry.resetMetrics()).toThrow('cannot be reset');
  });
});

function sortLabels(exposition: string): string {
  return exposition.replace(/\{(.*)\}/g, (_, labels: string) => `{${labels.split(',').sort().join(',')}}`);
}
