import { KEPT_FRAME_BYTES, type NewestMessage } from '../../backplane/newest-messages.ts';

/** Of the whole node: four MiB at most. */
const MOST_MESSAGES = 1_000;

/** One message, by the frame of one try to publish it. */
export interface UnechoedMessage {
  /** Room and conflation id. */
  readonly key: string;
  readonly frame: Buffer;
  readonly exclude: number;
  isStored: boolean;
}

/** `unknown`: the store may have it, or get it later. */
export type PublishOutcome = 'stored' | 'not stored' | 'unknown';

/**
 * What connections of this node published with a `conflateKey` to rooms without history, and want no echo of. The store keeps such a
 * message without its publisher; one who joins after the node has read it from there does not get its own all the same.
 *
 * It is noted before it is published, since it may be read before the answer comes. What was published under the same key before is
 * in the store until the answer says that this one is.
 */
export class Unechoed {
  /** By room and conflation id, in the order in which they were last published: all that the store may have. */
  readonly #messages = new Map<string, UnechoedMessage[]>();
  #count = 0;

  /** Copies the frame. `settled` must follow. Null: the store does not keep it. */
  note(room: string, conflation: Uint8Array, exclude: number, frame: Uint8Array): UnechoedMessage | null {
    if (frame.length > KEPT_FRAME_BYTES) return null;
    const key = keyOf(room, Buffer.from(conflation).toString('latin1'));
    const messages = this.#messages.get(key) ?? [];
    const message = { key, frame: Buffer.from(frame), exclude, isStored: false };
    messages.push(message);
    this.#messages.delete(key);
    this.#messages.set(key, messages);
    if (++this.#count > MOST_MESSAGES) this.#forgetOldest();
    return message;
  }

  settled(message: UnechoedMessage, outcome: PublishOutcome): void {
    if (outcome === 'unknown') return;
    const messages = this.#messages.get(message.key) ?? [];
    const at = messages.indexOf(message);
    if (at === -1) return;
    message.isStored = outcome === 'stored';
    const left = message.isStored
      ? messages.filter((one, i) => i >= at || !one.isStored)
      : messages.filter((one) => one !== message);
    this.#count -= messages.length - left.length;
    if (left.length > 0) this.#messages.set(message.key, left);
    else this.#messages.delete(message.key);
  }

  #forgetOldest(): void {
    for (const [key, messages] of this.#messages) {
      messages.shift();
      this.#count--;
      if (messages.length === 0) this.#messages.delete(key);
      return;
    }
  }

  /** The connection that is not to get this message of the store, or 0. */
  excluded(room: string, { id, frame }: Pick<NewestMessage, 'id' | 'frame'>): number {
    const messages = this.#messages.get(keyOf(room, id));
    return messages?.find((own) => own.frame.equals(frame))?.exclude ?? 0;
  }
}

/** Ids have eight characters. */
function keyOf(room: string, id: string): string {
  return id + room;
}
