/** The trials of a shape: rows take turns, and void trials are repeated. */
import type { Remarks } from './report/table.ts';
import type { BenchOptions, Shape, Trial } from './scenarios/scenario.ts';
import type { Contender } from './server/contender.ts';

/** Rounds in which void and failed trials are repeated before a row gets by with fewer. */
const SPARE_ROUNDS = 4;
/** Failures in a shape after which the row is given up. */
const MAX_FAILURES = 2;
const MAX_REMARK = 300;

export interface Outcome {
  /** In the order in which they ran, void ones too. */
  readonly trials: readonly Trial[];
  readonly remarks: Remarks;
  /** Rows that were given up. */
  readonly failed: readonly string[];
}

/**
 * This many valid trials for each contender: A B C A B C, so that changes on the machine affect all of them.
 * `say` gets a line for each trial. A row that cannot run here is skipped, one that rejects twice is given
 * up.
 */
export async function runRounds(
  shape: Shape,
  contenders: readonly Contender[],
  repetitions: number,
  options: BenchOptions,
  say: (line: string) => void,
): Promise<Outcome> {
  const trials: Trial[] = [];
  const turns = contenders.map((contender) => new Turns(contender, repetitions));
  for (let round = 0; round < repetitions + SPARE_ROUNDS; round++) {
    for (const row of turns) {
      if (row.isDone) continue;
      const outcome = await row.take(shape, options);
      if (typeof outcome !== 'string') trials.push(outcome);
      say(
        `  ${shape.name} ${row.name}: ${typeof outcome === 'string' ? outcome : describeTrial(shape, outcome)}`,
      );
    }
  }
  return {
    trials,
    remarks: Object.fromEntries(
      turns.flatMap(({ name, remark }) => (remark === null ? [] : [[name, remark] as const])),
    ),
    failed: turns.filter(({ isGivenUp }) => isGivenUp).map(({ name }) => name),
  };
}

/** One row's. */
class Turns {
  readonly #contender: Contender;
  readonly #repetitions: number;
  readonly #unavailable: string | null;
  #counted = 0;
  #failures = 0;
  #lastFailure = '';

  constructor(contender: Contender, repetitions: number) {
    this.#contender = contender;
    this.#repetitions = repetitions;
    this.#unavailable = contender.unavailable?.() ?? null;
  }

  get name(): string {
    return this.#contender.name;
  }

  get isGivenUp(): boolean {
    return this.#failures >= MAX_FAILURES;
  }

  get isDone(): boolean {
    return this.#unavailable !== null || this.isGivenUp || this.#counted >= this.#repetitions;
  }

  /** What readers of the table should know, or null. */
  get remark(): string | null {
    if (this.#unavailable !== null) return `skipped: ${this.#unavailable}`;
    if (this.#failures === 0) return null;
    const times = this.isGivenUp ? 'failed twice and was not tried again' : 'failed once';
    return `${times}: ${this.#lastFailure}`;
  }

  /** A trial, or what went wrong. */
  async take(shape: Shape, options: BenchOptions): Promise<Trial | string> {
    try {
      const trial = await shape.run(this.#contender, options);
      if (trial.voidBecause === null) this.#counted++;
      return trial;
    } catch (error) {
      this.#failures++;
      const text = error instanceof Error ? error.message : String(error);
      this.#lastFailure = onOneLine(text);
      return `failed: ${text}`;
    }
  }
}

function describeTrial({ headline }: Shape, { figures, checks, driverBound, voidBecause }: Trial): string {
  const cost = `${(figures[headline.figure] ?? NaN).toFixed(headline.digits)} ${headline.head}`;
  const limit = driverBound ? ' (driver at its limit)' : '';
  const trouble = checks.firstTrouble === null ? '' : `; trouble: ${checks.firstTrouble}`;
  return `${cost}${limit}${voidBecause === null ? '' : `; void: ${voidBecause}`}${trouble}`;
}

/** Remarks are stored and published: keep only the end of a path. */
function onOneLine(text: string): string {
  const line = text.replace(/\s+/g, ' ').replace(/(?<![\w:/.])\/(?:[^\s/:'"]+\/)+/g, '');
  return line.length > MAX_REMARK ? `${line.slice(0, MAX_REMARK)}...` : line;
}
