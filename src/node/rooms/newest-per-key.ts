import type { Envelope } from '../../backplane/envelope.ts';
import { KEPT_FRAME_BYTES, type NewestMessage, NewestMessages } from '../../backplane/newest-messages.ts';

/** What the store keeps, as the node has read it. */
export interface StoredNewest {
  /** See `NewestPage`. */
  readonly mark: number;
  /** Oldest first. */
  readonly messages: readonly (Pick<NewestMessage, 'id' | 'frame' | 'exclude'> & {
    readonly ageMs: number;
  })[];
}

/**
 * What a node keeps of a room without history: the newest message of each `conflateKey`. Its marks count the frames
 * of envelopes that conflate, as they leave; what is above the mark at which a member fell behind is what it lacks.
 */
export class NewestPerKey {
  readonly #ageMs: number;
  /** Null until there is one: most rooms never have any. */
  #messages: NewestMessages | null = null;
  /** The store's mark when the node began to hear the room. */
  #startMark = 0;
  #noted = 0;
  /** How far the room's topics have been served. */
  sent = 0;

  constructor(ageMs: number) {
    this.#ageMs = ageMs;
  }

  /** The feed starts with this. */
  start(page: StoredNewest, nowMs: number): void {
    this.#startMark = page.mark;
    this.renew(page, nowMs);
  }

  /** Takes what was published while the node did not hear the room. Its members have missed it. */
  renew({ messages }: StoredNewest, nowMs: number): void {
    for (const { id, frame, exclude, ageMs } of messages) {
      if (this.#messages?.get(id)?.frame.equals(frame)) continue;
      this.#keep({ id, mark: ++this.#noted, frame, exclude, bornMs: nowMs - ageMs });
    }
    this.sent = this.#noted;
  }

  /** Whether it started with this envelope, which was on its way then. */
  hasStartedWith({ mark }: Envelope): boolean {
    return mark !== 0 && mark <= this.#startMark;
  }

  /** Takes in an envelope that is about to leave. `sent` follows when it has left. */
  note(envelope: Envelope, nodeId: string, nowMs: number): void {
    const isOwn = envelope.hasExcludes && envelope.origin === nodeId;
    envelope.eachFrame((i, frame) => {
      const mark = ++this.#noted;
      const id = envelope.conflation(i);
      if (id === '') return;
      if (frame.length > KEPT_FRAME_BYTES) return this.#messages?.drop(id);
      const exclude = isOwn ? envelope.excluded(i) : 0;
      this.#keep({ id, mark, frame: Buffer.from(frame), exclude, bornMs: nowMs });
    });
  }

  after(mark: number, nowMs: number): NewestMessage[] {
    return this.#messages?.after(mark, nowMs - this.#ageMs) ?? [];
  }

  #keep(message: NewestMessage): void {
    this.#messages ??= new NewestMessages();
    this.#messages.set(message);
  }
}
