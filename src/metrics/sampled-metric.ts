/**
 * A metric for a prom-client registry over numbers that live elsewhere. prom-client's own counters keep a map
 * of label hashes and cannot be set. A registry only asks for a name, a help text and `get()`, so this class
 * answers those.
 */
import type { Metric, Registry } from 'prom-client';
import type { SampledHistogram } from './sampled-histogram.ts';

export type MetricType = 'counter' | 'gauge' | 'histogram';

/** One line of the exposition. */
export interface Reading {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  /** If it differs from the metric's: `<name>_bucket`, `<name>_sum`, `<name>_count`. */
  readonly metricName?: string;
}

export interface SampledMetricOptions {
  readonly type: MetricType;
  readonly name: string;
  /** What is counted and, where readers may assume otherwise, what is not. */
  readonly help: string;
  readonly labelNames: readonly string[];
  /** Called at each scrape. */
  read(): Reading[];
}

export class SampledMetric {
  readonly name: string;
  readonly help: string;
  readonly type: MetricType;
  readonly labelNames: readonly string[];
  readonly aggregator = 'sum';
  readonly #read: () => Reading[];

  constructor({ name, help, type, labelNames, read }: SampledMetricOptions) {
    this.name = name;
    this.help = help;
    this.type = type;
    this.labelNames = labelNames;
    this.#read = read;
  }

  /** What prom-client renders. */
  async get(): Promise<{
    name: string;
    help: string;
    type: MetricType;
    aggregator: string;
    values: Reading[];
  }> {
    const { name, help, type, aggregator } = this;
    return { name, help, type, aggregator, values: this.#read() };
  }

  /**
   * The registry's `resetMetrics` calls this; a counter that goes back would look like a restart of the node.
   */
  reset(): never {
    throw new Error(`${this.name} is sampled from the node's own numbers and cannot be reset`);
  }

  register(registry: Registry): void {
    // The declared parameter is a union of prom-client's classes; `Registry` only uses what this class has.
    registry.registerMetric(this as unknown as Metric);
  }
}

type Numbers<K extends string> = Readonly<Record<K, number>>;

export function counter(name: string, help: string, read: () => number): SampledMetric {
  return single('counter', name, help, read);
}

export function gauge(name: string, help: string, read: () => number): SampledMetric {
  return single('gauge', name, help, read);
}

/** A counter for each value of one label. */
export function counterBy<K extends string>(
  label: string,
  name: string,
  help: string,
  read: () => Numbers<K>,
): SampledMetric {
  return labelled('counter', label, name, help, read);
}

/** A gauge for each value of one label. */
export function gaugeBy<K extends string>(
  label: string,
  name: string,
  help: string,
  read: () => Numbers<K>,
): SampledMetric {
  return labelled('gauge', label, name, help, read);
}

export function histogram(name: string, help: string, source: SampledHistogram): SampledMetric {
  const read = () => histogramReadings(name, {}, source);
  return new SampledMetric({ type: 'histogram', name, help, labelNames: [], read });
}

/** A histogram for each value of one label. */
export function histogramBy<K extends string>(
  label: string,
  name: string,
  help: string,
  sources: Readonly<Record<K, SampledHistogram>>,
): SampledMetric {
  const read = () =>
    Object.entries<SampledHistogram>(sources).flatMap(([value, source]) =>
      histogramReadings(name, { [label]: value }, source),
    );
  return new SampledMetric({ type: 'histogram', name, help, labelNames: [label], read });
}

function single(type: MetricType, name: string, help: string, read: () => number): SampledMetric {
  return new SampledMetric({ type, name, help, labelNames: [], read: () => [{ labels: {}, value: read() }] });
}

function labelled<K extends string>(
  type: MetricType,
  label: string,
  name: string,
  help: string,
  numbers: () => Numbers<K>,
): SampledMetric {
  const read = () =>
    Object.entries<number>(numbers()).map(([key, value]) => ({ labels: { [label]: key }, value }));
  return new SampledMetric({ type, name, help, labelNames: [label], read });
}

function histogramReadings(name: string, labels: Reading['labels'], source: SampledHistogram): Reading[] {
  const counts = source.cumulative();
  const buckets = counts.map((value, i) => ({
    labels: { ...labels, le: source.bounds[i] ?? '+Inf' },
    value,
    metricName: `${name}_bucket`,
  }));
  return [
    ...buckets,
    { labels, value: source.sum, metricName: `${name}_sum` },
    { labels, value: counts.at(-1)!, metricName: `${name}_count` },
  ];
}
