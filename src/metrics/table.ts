import type { Registry } from 'prom-client';
import { SampledMetric } from './sampled-metric.ts';

/**
 * Roomcast's own metrics as a Markdown table, in the order of their declaration. prom-client's defaults are
 * left out: they differ between platforms and versions of Node, and are documented there.
 */
export function metricsTable(registry: Registry): string {
  const declared: readonly unknown[] = registry.getMetricsAsArray();
  const rows = declared.filter((metric) => metric instanceof SampledMetric).map(row);
  return ['| metric | type | labels | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

function row({ name, type, labelNames, help }: SampledMetric): string {
  const labels = labelNames.map((label) => `\`${label}\``).join(', ') || '–';
  return `| \`${name}\` | ${type} | ${labels} | ${help.replaceAll('|', '\\|')} |`;
}
