/** The summaries of a shape as a table: for the terminal, and for GitHub. */
import type { Column } from '../scenarios/scenario.ts';
import type { Figure, RowSummary, ShapeView } from './summary.ts';

/** Remarks on a row, by its name: why it is missing or incomplete. */
export type Remarks = Readonly<Record<string, string>>;

/** Aligned text: the first column to the left, the others to the right; the notes below. */
export function textTable(shape: ShapeView, summaries: readonly RowSummary[], remarks: Remarks): string {
  const lines = aligned(cells(shape, summaries)).map((row) => row.join('  '));
  return [...lines, ...notes(summaries, remarks)].join('\n');
}

/** The same in GitHub's Markdown, the notes as paragraphs. */
export function markdownTable(shape: ShapeView, summaries: readonly RowSummary[], remarks: Remarks): string {
  return [markdownOf(cells(shape, summaries)), ...notes(summaries, remarks).map(escaped)].join('\n\n');
}

/** Any table in Markdown: the head first, its first column to the left, the others to the right. */
export function markdownOf(rows: readonly (readonly string[])[]): string {
  const [head = [], ...body] = aligned(rows.map((row) => row.map(escaped)));
  const rule = head.map((cell, i) => (i === 0 ? '-'.repeat(cell.length) : `${'-'.repeat(cell.length - 1)}:`));
  return [head, rule, ...body].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

/** A median as its column formats it, with a star if the driver was the limit; `-` if there is none. */
export function shown({ median, isStarred }: Figure, column: Column): string {
  const text = number(median, column);
  return isStarred && text !== '-' ? `${text}*` : text;
}

/** `-` where there is none. */
export function ratioText(ratio: number): string {
  return number(ratio, { digits: ratio >= 100 ? 0 : 2 });
}

function cells(shape: ShapeView, summaries: readonly RowSummary[]): string[][] {
  const { control, headline, columns } = shape;
  const heads = columns.map(({ head }) => head);
  const head = ['row', headline.head, `x ${control}`, 'low..high', ...heads, 'lost/rep/ord/err', 'runs'];
  return [head, ...summaries.map((summary) => rowCells(shape, summary, summaries))];
}

function rowCells(
  { headline, columns }: ShapeView,
  summary: RowSummary,
  all: readonly RowSummary[],
): string[] {
  const { row, ratio, figures } = summary;
  const { low, high } = summary.headline;
  const { lost, repeated, reordered, trouble } = summary.checks;
  return [
    row,
    shown(summary.headline, headline),
    ratioText(ratio),
    Number.isFinite(low) ? `${number(low, headline)}..${number(high, headline)}` : '-',
    ...columns.map((column) => {
      const figure = figures.get(column.figure);
      return figure ? `${shown(figure, column)}${ratioWithin(figure, column, all)}` : '-';
    }),
    `${lost}/${repeated}/${reordered}/${trouble}`,
    `${summary.counted}${summary.voided > 0 ? ` (-${summary.voided})` : ''}`,
  ];
}

/** For a column compared with a row of its own, ` (1.20 x)`. */
function ratioWithin({ median }: Figure, { figure, ratioTo }: Column, all: readonly RowSummary[]): string {
  if (ratioTo === undefined) return '';
  const base = all.find(({ row }) => row === ratioTo)?.figures.get(figure)?.median ?? NaN;
  return Number.isFinite(median / base) ? ` (${ratioText(median / base)} x)` : '';
}

function number(value: number, { digits, kind }: Pick<Column, 'digits' | 'kind'>): string {
  if (!Number.isFinite(value)) return '-';
  return kind === 'share' ? `${(value * 100).toFixed(digits)}%` : value.toFixed(digits);
}

function notes(summaries: readonly RowSummary[], remarks: Remarks): string[] {
  const troubles = summaries.flatMap(({ row, checks: { firstTrouble } }) =>
    firstTrouble === null ? [] : [`${row}: trouble, the first of it: ${firstTrouble}`],
  );
  return [...Object.entries(remarks).map(([row, remark]) => `${row}: ${remark}`), ...troubles];
}

function aligned(rows: readonly (readonly string[])[]): string[][] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(3, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows.map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))),
  );
}

/** Escapes what Markdown would interpret: text also comes from programs that failed. */
function escaped(text: string): string {
  return text.replace(/\s+/g, ' ').replace(/[|<>\\`_[\]]/g, '\\$&');
}
