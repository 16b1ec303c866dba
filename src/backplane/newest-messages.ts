/** In a room without history, the newest message for each conflation id: for members that are new or behind. */

/** So many keys of a room are kept, those that changed last. `publish.lua` has the same limits. */
export const KEPT_KEYS = 1000;
/** Larger frames are delivered, not kept; what they replace is not kept any more either. */
export const KEPT_FRAME_BYTES = 4096;

export interface NewestMessage {
  /** Conflation id, as `Envelope.conflation` gives it. */
  readonly id: string;
  /** Rises from message to message. */
  readonly mark: number;
  /** Its own copy. */
  readonly frame: Buffer;
  /** Local connection that is not to get it, or 0. */
  readonly exclude: number;
  /** On the clock of `nowMs`. */
  readonly bornMs: number;
}

export class NewestMessages<Message extends NewestMessage = NewestMessage> {
  /** Oldest first. */
  readonly #messages = new Map<string, Message>();

  get(id: string): Message | undefined {
    return this.#messages.get(id);
  }

  /** Takes the place of the message with the same id. Forgets the oldest of too many. */
  set(message: Message): void {
    this.#messages.delete(message.id);
    this.#messages.set(message.id, message);
    if (this.#messages.size <= KEPT_KEYS) return;
    for (const id of this.#messages.keys()) {
      this.#messages.delete(id);
      return;
    }
  }

  /** Something that is not kept has taken the place of the message with this id. */
  drop(id: string): void {
    this.#messages.delete(id);
  }

  /** Those above a mark that were born after a time, oldest first. */
  after(mark: number, bornMs: number): Message[] {
    return this.all().filter((one) => one.mark > mark && one.bornMs > bornMs);
  }

  /** Oldest first. */
  all(): Message[] {
    return [...this.#messages.values()];
  }
}
