/** Prints findings. */
import type { Finding, Level } from './finding.ts';

const MARKS: Readonly<Record<Level, string>> = { ok: 'ok      ', warning: 'warning ', problem: 'problem ' };

/** One line per finding, with advice after an arrow; then a summary line. Ends with a newline. */
export function textReport(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ about }) => about.length));
  const lines = findings.map(({ level, about, says, advice }) => {
    const todo = advice === null ? '' : ` -> ${advice}`;
    return `${MARKS[level]} ${about.padEnd(width)}  ${says}${todo}`;
  });
  const { problems, warnings } = countsOf(findings);
  return `${[...lines, '', `${plural(problems, 'problem')}, ${plural(warnings, 'warning')}`].join('\n')}\n`;
}

/** The same for programs: `{healthy, problems, warnings, findings: [{level, about, says, advice}]}`. */
export function jsonReport(findings: readonly Finding[]): string {
  const { problems, warnings } = countsOf(findings);
  return `${JSON.stringify({ healthy: problems === 0, problems, warnings, findings }, null, 2)}\n`;
}

/** 0 if nothing is wrong. Warnings count only with `strict`. */
export function exitCodeFor(findings: readonly Finding[], strict: boolean): number {
  const { problems, warnings } = countsOf(findings);
  return problems > 0 || (strict && warnings > 0) ? 1 : 0;
}

function countsOf(findings: readonly Finding[]): { problems: number; warnings: number } {
  const count = (wanted: Level) => findings.filter(({ level }) => level === wanted).length;
  return { problems: count('problem'), warnings: count('warning') };
}

function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}
