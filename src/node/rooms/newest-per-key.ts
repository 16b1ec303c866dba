import type { Envelope } from '../../backplane/envelope.ts';
import { KEPT_FRAME_BYTES, type NewestMessage, NewestMessages } from '../../backplane/newest-messages.ts';

/** What the store keeps, as the node has read it. */
export interface StoredNewest {
  /** See `NewestPage`. */
  readonly mark: number;
  /** Oldest first. `mark` is that of the store. */
  readonly messages: readonly (Pick<NewestMessage, 'id' | 'mark' | 'frame' | 'exclude'> & {
    readonly ageMs: number;
  })[];
}

interface Kept extends NewestMessage {
  /** Where the store has it: see `Envelope.mark`. 0 where the store began to count anew since. */
  storeMark: number;
}

/** What it started with arrives within this time, if at all: servers of a cluster may pass messages on late. */
const LATE_MS = 60_000;
/** Of what was missed, until its place is found. */
const MISSED = -1;

/**
 * What a node keeps of a room without history: the newest message of each `conflateKey`. Its marks count the frames
 * of envelopes that conflate, as they leave; what is above the mark at which a member fell behind is what it lacks.
 */
export class NewestPerKey {
  readonly #ageMs: number;
  /** Null until there is one: most rooms never have any. */
  #messages: NewestMessages<Kept> | null = null;
  /** The store's mark when the node began to hear the room. */
  #startMark = 0;
  #startedAtMs = 0;
  /** The store's mark of the newest message that was noted, or missed. */
  #storeMark = 0;
  /** While it is read again: the ids of what arrived since that began. Null: it is not read. */
  #arrived: Set<string> | null = null;
  #noted = 0;
  /** How far the room's topics have been served. */
  sent = 0;

  constructor(ageMs: number) {
    this.#ageMs = ageMs;
  }

  /** The feed starts with this. */
  start(page: StoredNewest, nowMs: number): void {
    this.renew(page, nowMs);
    this.#startMark = page.mark;
    this.#startedAtMs = nowMs;
    this.#storeMark = page.mark;
  }

  get isRenewing(): boolean {
    return this.#arrived !== null;
  }

  /** What the store keeps is going to be read again. `endRenewal` must follow. */
  beginRenewal(): void {
    this.#arrived = new Set();
  }

  endRenewal(): void {
    this.#arrived = null;
  }

  /** Notes that an envelope arrived, which leaves at the end of the turn. */
  arrived(envelope: Envelope): void {
    if (this.#arrived === null || !envelope.conflates) return;
    for (let i = 0; i < envelope.count; i++) this.#arrived.add(envelope.conflation(i));
  }

  /** Whether something was published that was not heard, as far as is known by now. */
  lacks(page: StoredNewest): boolean {
    return page.messages.some((message) => this.#isMissed(message)) || this.#replaced(page).size > 0;
  }

  /**
   * Takes what was published while the node did not hear the room: its members have missed it. All that has arrived must have been
   * delivered.
   */
  renew(page: StoredNewest, nowMs: number): void {
    const missed = page.messages.filter((message) => this.#isMissed(message));
    for (const id of this.#replaced(page)) this.#messages?.drop(id);
    if (missed.length === 0) return;
    const before = this.#storeMark;
    const all: Kept[] = this.#messages?.all() ?? [];
    for (const { id, mark: storeMark, frame, exclude, ageMs } of missed) {
      all.push({ id, mark: MISSED, storeMark, frame, exclude, bornMs: nowMs - ageMs });
      this.#storeMark = Math.max(this.#storeMark, storeMark);
    }
    this.#messages = new NewestMessages();
    let last = 0;
    for (const message of all.sort((a, b) => a.storeMark - b.storeMark)) {
      if (message.mark !== MISSED) last = message.mark;
      // Who was given newer ones must not get it after those, and who lacks the one before it must get it: it stands in between.
      else last = message.storeMark < before ? Math.floor(last) + 0.5 : ++this.#noted;
      this.#keep({ ...message, mark: last });
    }
    this.sent = this.#noted;
  }

  /** What arrived since is at least as new as what was read. And the store may have lost what it has here. */
  #isMissed({ id, mark, frame }: Pick<NewestMessage, 'id' | 'mark' | 'frame'>): boolean {
    if (this.#arrived?.has(id)) return false;
    const known = this.#messages?.get(id);
    return known === undefined || (known.storeMark < mark && !known.frame.equals(frame));
  }

  /**
   * Ids of what the store has no more, since something took its place that is not kept. What is older than all that it has, or above
   * its mark, it may have lost: that stays.
   */
  #replaced({ mark, messages }: StoredNewest): ReadonlySet<string> {
    const oldest = messages[0]?.mark ?? 0;
    const kept = this.#messages?.all() ?? [];
    const known = kept.filter(({ storeMark }) => storeMark > oldest && storeMark <= mark);
    const ids = new Set(known.map(({ id }) => id));
    for (const { id } of messages) ids.delete(id);
    for (const id of this.#arrived ?? []) ids.delete(id);
    return ids;
  }

  /** Whether it started with this envelope, which was on its way then. Later on marks may be lower: the store's clock was set back. */
  hasStartedWith({ mark }: Envelope, nowMs: number): boolean {
    if (nowMs - this.#startedAtMs >= LATE_MS) return false;
    return mark !== 0 && mark <= this.#startMark;
  }

  /** Takes in an envelope that is about to leave. `sent` follows when it has left. */
  note(envelope: Envelope, nodeId: string, nowMs: number): void {
    const isOwn = envelope.hasExcludes && envelope.origin === nodeId;
    const beforeFirst = this.#storeMarkBefore(envelope);
    envelope.eachFrame((i, frame) => {
      const mark = ++this.#noted;
      const id = envelope.conflation(i);
      if (id === '') return;
      if (frame.length > KEPT_FRAME_BYTES) return this.#messages?.drop(id);
      const exclude = isOwn ? envelope.excluded(i) : 0;
      const storeMark = beforeFirst + 1 + i;
      this.#keep({ id, mark, storeMark, frame: Buffer.from(frame), exclude, bornMs: nowMs });
    });
  }

  #storeMarkBefore({ mark, count }: Envelope): number {
    // The store lost its count, and its clock is behind: the marks that are known here are no measure any more.
    if (mark <= this.#storeMark) for (const message of this.#messages?.all() ?? []) message.storeMark = 0;
    this.#storeMark = mark;
    return mark - count;
  }

  after(mark: number, nowMs: number): NewestMessage[] {
    return this.#messages?.after(mark, nowMs - this.#ageMs) ?? [];
  }

  #keep(message: Kept): void {
    this.#messages ??= new NewestMessages();
    this.#messages.set(message);
  }
}
