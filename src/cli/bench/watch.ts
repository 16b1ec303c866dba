import type { Driver } from '../../load/driver.ts';
import type { WorkerProgress } from '../../load/worker.ts';

const EVERY_MS = 1000;

export type Stage = 'connecting' | 'warming up' | 'measuring';

/** Asks the driver for progress once a second. */
export class Watch {
  stage: Stage = 'connecting';
  readonly #driver: Driver;
  readonly #took: (now: WorkerProgress, stage: Stage) => void;
  readonly #print: ((line: string) => void) | null;
  readonly #timer: NodeJS.Timeout;
  #before = { published: 0, delivered: 0, atMs: performance.now() };

  /** `took` gets every answer; `print` gets a line for people, unless it is null. */
  constructor(
    driver: Driver,
    took: (now: WorkerProgress, stage: Stage) => void,
    print: ((line: string) => void) | null,
  ) {
    this.#driver = driver;
    this.#took = took;
    this.#print = print;
    this.#timer = setInterval(() => this.#ask(), EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #ask(): void {
    this.#driver.progress().then(
      (now) => this.#answered(now),
      // The process is gone: its other callers get the reason.
      () => this.stop(),
    );
  }

  #answered(now: WorkerProgress): void {
    const atMs = performance.now();
    this.#took(now, this.stage);
    this.#print?.(progressLine(this.stage, now, this.#before, (atMs - this.#before.atMs) / 1000));
    this.#before = { published: now.published, delivered: now.delivered, atMs };
  }
}

/** Counts start over with a stage: a lower count than before started at 0. */
export function progressLine(
  stage: Stage,
  { open, published, delivered }: WorkerProgress,
  before: { readonly published: number; readonly delivered: number },
  seconds: number,
): string {
  const perSecond = (now: number, then: number): string =>
    Math.round((now < then ? now : now - then) / seconds).toLocaleString('en-GB');
  const rates =
    stage === 'connecting'
      ? ''
      : `, ${perSecond(published, before.published)} publishes/s, ${perSecond(delivered, before.delivered)} deliveries/s`;
  return `${stage}: ${open.toLocaleString('en-GB')} connections open${rates}\n`;
}
