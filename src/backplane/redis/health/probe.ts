/**
 * Whether this node receives what is published. A subscribe link can look healthy and deliver nothing
 * (half-open after a failover, or Redis forgot the subscriptions), for days and without an error. So every
 * node publishes to its own channel and expects to receive it.
 */

import type { Clock } from '../../../util/clock.ts';
import { systemScheduler, type Timer } from '../../../util/scheduler.ts';

export interface ProbeOptions {
  readonly clock: Clock;
  readonly intervalMs: number;
  /** A probe not received within this time means that the node is deaf. */
  readonly timeoutMs: number;
  /** Whether both links are up: only then does a missing probe mean something. */
  canProbe(): boolean;
  /** Publishes the bytes on the node's own channel. Rejects if Redis did not answer. */
  publish(bytes: string): Promise<unknown>;
  heard(lagMs: number): void;
  /** `isDeaf` changed. */
  changed(): void;
  /** Called for each probe that was published and not received. */
  reconnect(reason: string): void;
}

export class Probe {
  readonly #options: ProbeOptions;
  #timer: Timer | undefined;
  #deadline: Timer | undefined;
  #number = 0;
  #sentAtMs = 0;
  #isDeaf = false;

  constructor(options: ProbeOptions) {
    this.#options = options;
  }

  get isDeaf(): boolean {
    return this.#isDeaf;
  }

  start(): void {
    this.#timer = systemScheduler.every(this.#options.intervalMs, () => this.#send());
  }

  stop(): void {
    this.#timer?.cancel();
    this.#deadline?.cancel();
    this.#deadline = undefined;
  }

  /**
   * The links changed: a probe in flight proves nothing. The next one is sent at once if the node was deaf.
   */
  linksChanged(): void {
    this.#deadline?.cancel();
    this.#deadline = undefined;
    if (this.#isDeaf) this.#send();
  }

  /** Something arrived on the node's own channel. Earlier probes that arrive late prove nothing new. */
  arrived(bytes: Buffer): void {
    if (bytes.toString() !== String(this.#number) || this.#deadline === undefined) return;
    this.#deadline?.cancel();
    this.#deadline = undefined;
    this.#options.heard(this.#options.clock.nowMs() - this.#sentAtMs);
    this.#setDeaf(false);
  }

  #send(): void {
    if (this.#deadline !== undefined || !this.#options.canProbe()) return;
    const number = ++this.#number;
    this.#sentAtMs = this.#options.clock.nowMs();
    this.#deadline = systemScheduler.after(this.#options.timeoutMs, () => this.#missed());
    this.#options.publish(String(number)).catch(() => {
      // It may never have been published, which is the command link's fault and no proof of deafness.
      if (number === this.#number) this.linksChanged();
    });
  }

  #missed(): void {
    this.#deadline = undefined;
    this.#setDeaf(true);
    this.#options.reconnect('the node does not receive its own probe');
  }

  #setDeaf(isDeaf: boolean): void {
    if (this.#isDeaf === isDeaf) return;
    this.#isDeaf = isDeaf;
    this.#options.changed();
  }
}
