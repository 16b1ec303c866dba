/** Whether a node may get traffic, and when it can hear again: decided anew whenever something changed. */
import type { Logger } from '../../../util/log.ts';
import type { BackplaneStatus } from '../../backplane.ts';

export interface ReadinessOptions {
  /** Why the node should get no traffic, for people, or null. */
  problem(): string | null;
  /** Why nothing is sent or heard, or null. While writes alone are refused, all else goes on. */
  linkProblem(): string | null;
  /** All is well again: envelopes may have been missed, or checks for them have failed. */
  resumed(): void;
  readonly log: Logger;
  /** Address of the server, where it is one of many. */
  readonly shard?: string;
}

export class Readiness {
  readonly #options: ReadinessOptions;
  #isWatching = false;
  #wasReady = false;
  /** Of one of many: it is built before its links are up. */
  #hasBeenReady = false;
  #wasHearing = false;

  constructor(options: ReadinessOptions) {
    this.#options = options;
  }

  get isWatching(): boolean {
    return this.#isWatching;
  }

  start(): void {
    this.#isWatching = true;
    this.#wasReady = this.status().ready;
    this.#hasBeenReady = this.#wasReady;
    this.#wasHearing = this.#options.linkProblem() === null;
  }

  stop(): void {
    this.#isWatching = false;
  }

  status(): BackplaneStatus {
    const reason = this.#options.problem();
    return { ready: reason === null, reason };
  }

  review(): void {
    if (!this.#isWatching) return;
    const { ready, reason } = this.status();
    const isHearing = this.#options.linkProblem() === null;
    const hasResumed = isHearing && !this.#wasHearing;
    this.#wasHearing = isHearing;
    if (ready !== this.#wasReady) {
      this.#wasReady = ready;
      this.#log(ready, reason);
    }
    if (hasResumed) this.#options.resumed();
  }

  #log(ready: boolean, reason: string | null): void {
    const { log, shard } = this.#options;
    const [fields, what] = shard === undefined ? [{}, 'backplane'] : [{ shard }, 'redis shard'];
    const again = this.#hasBeenReady ? ' again' : '';
    this.#hasBeenReady ||= ready;
    if (ready) log.info(fields, `${what} is ready${again}`);
    else log.warn({ ...fields, reason }, `${what} is not ready`);
  }
}
