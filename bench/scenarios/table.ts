import type { Summary } from './summary.ts';

interface Column {
  readonly head: string;
  readonly cell: (summary: Summary) => string;
}

const COLUMNS: readonly Column[] = [
  { head: 'row', cell: ({ row }) => row },
  { head: 'us/delivery', cell: ({ serverUsPerDelivery }) => fixed(serverUsPerDelivery, 3) },
  { head: 'x bare', cell: ({ ratio }) => fixed(ratio, 2) },
  { head: 'low..high', cell: ({ spread: [low, high] }) => `${fixed(low, 3)}..${fixed(high, 3)}` },
  { head: 'redis us/pub', cell: ({ redisUsPerPublish }) => fixed(redisUsPerPublish, 1) },
  { head: 'deliveries/s', cell: (summary) => limited(summary, summary.deliveriesPerSecond) },
  { head: 'publishes/s', cell: (summary) => limited(summary, summary.publishesPerSecond) },
  { head: 'batch', cell: ({ batch }) => fixed(batch, 1) },
  { head: 'server', cell: ({ serverShare }) => share(serverShare) },
  { head: 'driver', cell: ({ driverShare }) => share(driverShare) },
  { head: 'p50 us', cell: (summary) => limited(summary, summary.p50) },
  { head: 'p99 us', cell: (summary) => limited(summary, summary.p99) },
  {
    head: 'lost/rep/ord/err',
    cell: ({ lost, repeated, reordered, trouble }) => `${lost}/${repeated}/${reordered}/${trouble}`,
  },
  {
    head: 'runs',
    cell: (summary) => `${summary.counted}${summary.voided > 0 ? ` (-${summary.voided})` : ''}`,
  },
];

/** Aligned text: the first column to the left, the others to the right. */
export function table(summaries: readonly Summary[]): string {
  const rows = [
    COLUMNS.map(({ head }) => head),
    ...summaries.map((summary) => COLUMNS.map(({ cell }) => cell(summary))),
  ];
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ');
  return rows.map(line).join('\n');
}

function fixed(value: number, digits: number): string {
  return Number.isFinite(value) ? value.toFixed(digits) : '-';
}

/** With a star: the driver was the limit in all of its trials, and the server may be better than this. */
function limited({ counted, driverBound }: Summary, value: number): string {
  return `${fixed(value, 0)}${driverBound === counted && counted > 0 ? '*' : ''}`;
}

function share(value: number): string {
  return Number.isFinite(value) ? `${(value * 100).toFixed(0)}%` : '-';
}
