import { KEPT_FRAME_BYTES, type NewestMessage } from '../../backplane/newest-messages.ts';

/** Of the whole node: four MiB at most. */
const MOST_MESSAGES = 1_000;

/**
 * What connections of this node published with a `conflateKey` to rooms without history, and want no echo of. The store keeps such a
 * message without its publisher; one who joins after the node has read it from there does not get its own all the same.
 */
export class Unechoed {
  /** By room and conflation id: the newest of each, in the order in which they were published. */
  readonly #messages = new Map<string, { readonly frame: Buffer; readonly exclude: number }>();

  /** Copies the frame. */
  note(room: string, conflation: Uint8Array, exclude: number, frame: Uint8Array): void {
    if (frame.length > KEPT_FRAME_BYTES) return;
    const key = keyOf(room, Buffer.from(conflation).toString('latin1'));
    this.#messages.delete(key);
    this.#messages.set(key, { frame: Buffer.from(frame), exclude });
    if (this.#messages.size <= MOST_MESSAGES) return;
    const [oldest] = this.#messages.keys();
    this.#messages.delete(oldest!);
  }

  /** The connection that is not to get this message of the store, or 0. */
  excluded(room: string, { id, frame }: Pick<NewestMessage, 'id' | 'frame'>): number {
    const own = this.#messages.get(keyOf(room, id));
    return own?.frame.equals(frame) ? own.exclude : 0;
  }
}

/** Ids have eight characters. */
function keyOf(room: string, id: string): string {
  return id + room;
}
