/**
 * Whether this node hears what is published. A subscribe link can look sound and deliver nothing (half-open after a
 * failover, or Redis forgot the subscriptions), for days and without an error. So every node publishes to a channel of
 * its own and expects to hear it.
 */

import type { Clock } from '../../../util/clock.ts';
import { systemScheduler, type Timer } from '../../../util/scheduler.ts';

export interface ProbeOptions {
  readonly clock: Clock;
  readonly intervalMs: number;
  /** A probe that was published and not heard by then means that the node is deaf. */
  readonly timeoutMs: number;
  /** Whether both links are up: only then can hearing nothing mean something. */
  canProbe(): boolean;
  /** Publishes the bytes on the node's own channel. Rejects when Redis did not answer. */
  publish(bytes: string): Promise<unknown>;
  heard(lagMs: number): void;
  /** `isDeaf` changed. */
  changed(): void;
  /** Asked for each probe that was published and not heard. */
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

  /** The links changed: what is under way proves nothing. The next one is sent at once if it was deaf. */
  linksChanged(): void {
    this.#deadline?.cancel();
    this.#deadline = undefined;
    if (this.#isDeaf) this.#send();
  }

  /** Something arrived on the node's own channel. Earlier probes that come late prove nothing new. */
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
      // It may never have been published, which is the command link's trouble and no proof of deafness.
      if (number === this.#number) this.linksChanged();
    });
  }

  #missed(): void {
    this.#deadline = undefined;
    this.#setDeaf(true);
    this.#options.reconnect('the node does not hear its own probe');
  }

  #setDeaf(isDeaf: boolean): void {
    if (this.#isDeaf === isDeaf) return;
    this.#isDeaf = isDeaf;
    this.#options.changed();
  }
}
