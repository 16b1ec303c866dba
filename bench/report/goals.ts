import type { Goal } from '../scenarios/scenario.ts';
import type { RowSummary, ShapeView } from './summary.ts';

/** A line for each goal of a shape whose rows were measured: the goal and the result. */
export function goalLines(shape: ShapeView, summaries: readonly RowSummary[]): string[] {
  return (shape.goals ?? []).flatMap((goal) => {
    const value = reached(goal, summaries);
    return Number.isFinite(value)
      ? [`${nameOf(goal, shape)}: ${shownValue(value)}, ${verdict(goal, value)}`]
      : [];
  });
}

function reached({ row, figure, to }: Goal, summaries: readonly RowSummary[]): number {
  const of = (name: string): number =>
    summaries.find((summary) => summary.row === name)?.figures.get(figure)?.median ?? Number.NaN;
  return to === undefined ? of(row) : of(row) / of(to);
}

function nameOf({ row, figure, to, atMost, atLeast }: Goal, { headline, columns }: ShapeView): string {
  const head = [headline, ...columns].find((column) => column.figure === figure)?.head ?? figure;
  const limit = atMost === undefined ? `at least ${shownValue(atLeast!)}` : `at most ${shownValue(atMost)}`;
  return `Goal: ${row}, ${head.replace(/ \(.*/, '')}, ${limit}${to === undefined ? '' : ` x ${to}`}`;
}

function verdict({ atMost = Infinity, atLeast = -Infinity }: Goal, value: number): string {
  return value <= atMost && value >= atLeast ? 'met' : 'missed';
}

function shownValue(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en') : Number(value.toFixed(2)).toString();
}
