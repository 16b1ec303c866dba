/** What nodes refuse for now. The client library asks again without a word; people want to know what a command waits for. */
import type { ErrorCode } from '../../protocol/codes.ts';
import type { PublishOptions } from '../../protocol/frames.ts';

/** Refusals after which the client library asks again, apart from `rate_limited`, which is no fault. */
const PASSING: readonly unknown[] = ['unavailable', 'timeout', 'internal'] satisfies ErrorCode[];

export interface WaitsEvents {
  /** Nothing waited before, and now something does. */
  begun(reason: string): void;
  /** Nothing waits any more. */
  ended(): void;
}

export class Waits {
  readonly #events: WaitsEvents;
  /** What was asked and not answered, by the id of the command. */
  readonly #asked = new Map<unknown, string>();
  readonly #refused = new Map<string, string>();

  constructor(events: WaitsEvents) {
    this.#events = events;
  }

  /** Why something that was asked for is not done yet; null: nothing was refused. */
  get reason(): string | null {
    return this.#refused.values().next().value ?? null;
  }

  sent([type, id, room, , options]: readonly unknown[]): void {
    if (type === 'publish' && !isSignal(options))
      this.#asked.set(id, `nothing can be published in ${room} now`);
    if (type === 'join') this.#asked.set(id, `${room} cannot be joined now`);
  }

  received([type, id, code, message]: readonly unknown[]): void {
    // Another connection, whose ids begin anew.
    if (type === 'hello') this.#asked.clear();
    if (type !== 'ok' && type !== 'error') return;
    const what = this.#asked.get(id);
    if (what === undefined) return;
    this.#asked.delete(id);
    if (type === 'error' && PASSING.includes(code)) this.#add(what, `${what}: ${code}: ${message}`);
    else this.#delete(what);
  }

  #add(what: string, reason: string): void {
    const isFirst = this.#refused.size === 0;
    this.#refused.set(what, reason);
    if (isFirst) this.#events.begun(reason);
  }

  #delete(what: string): void {
    if (this.#refused.delete(what) && this.#refused.size === 0) this.#events.ended();
  }
}

/** Signals are not sent again. */
function isSignal(options: unknown): boolean {
  return (options as PublishOptions).ephemeral === true;
}
