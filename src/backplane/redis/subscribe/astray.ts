import { systemScheduler, type Timer } from '../../../util/scheduler.ts';
import type { Subscription } from './subscription.ts';

/** A slot that moves is somewhere else at once; one that nobody has may be so for long. */
const FIRST_RETRY_MS = 20;
const LAST_RETRY_MS = 640;

export interface AstrayOptions {
  /** Something has gone astray: who has what may have changed. */
  found(): void;
  /** It is time to ask for these again. */
  ask(subscriptions: readonly Subscription[]): void;
}

/** What is wanted of a server that does not have it: asked for again and again, ever less often. */
export class Astray {
  readonly #options: AstrayOptions;
  readonly #subscriptions = new Set<Subscription>();
  #retry: Timer | null = null;
  #delayMs = FIRST_RETRY_MS;

  constructor(options: AstrayOptions) {
    this.#options = options;
  }

  /** `isAgain`: it was asked for just now, and is still not there. */
  add(subscription: Subscription, isAgain: boolean): void {
    if (!isAgain) this.#delayMs = FIRST_RETRY_MS;
    this.#subscriptions.add(subscription);
    if (this.#retry !== null) return;
    this.#options.found();
    this.#retry = systemScheduler.after(this.#delayMs, () => this.#ask());
  }

  delete(subscription: Subscription): void {
    this.#subscriptions.delete(subscription);
  }

  clear(): void {
    this.#retry?.cancel();
    this.#retry = null;
    this.#subscriptions.clear();
  }

  #ask(): void {
    this.#retry = null;
    this.#delayMs = Math.min(2 * this.#delayMs, LAST_RETRY_MS);
    const subscriptions = [...this.#subscriptions];
    this.#subscriptions.clear();
    this.#options.ask(subscriptions);
  }
}
