/**
 * What this node knows to be stored by one run of a server. A disk holds everything up to some moment. So if a restarted server has the
 * newest writes that the node knows of, it has all earlier ones too.
 *
 * A beat is a small write for this purpose alone, which nodes repeat. Once a beat is answered, it replaces everything that was seen before
 * it was sent.
 */

/** A message that must be stored, since a publisher or a member was told of it. */
export interface Sight {
  readonly room: string;
  readonly epoch: string;
  readonly offset: number;
}

export interface Beat {
  readonly key: string;
  /** Of one node they rise. */
  readonly number: number;
  readonly sentAtMs: number;
}

/** The newest of its kind. Changed in place: nothing is allocated for a message. */
class Newest implements Sight {
  room = '';
  epoch = '';
  offset = 0;
  /** The count of all sights when this one was noted. */
  at = 0;

  note(room: string, epoch: string, offset: number, at: number): void {
    this.room = room;
    this.epoch = epoch;
    this.offset = offset;
    this.at = at;
  }
}

/** The limit for a subscribe link that is lost again and again while no beat is answered. */
const MAX_CONNECTIONS = 16;

export class Evidence {
  readonly runId: string;
  /** The newest that was answered. */
  beat: Beat | null = null;
  readonly #answered = new Newest();
  readonly #read = new Newest();
  #heard = new Newest();
  /** On connections of the subscribe link that were lost. */
  #heardBefore: Newest[] = [];
  #count = 0;

  constructor(runId: string) {
    this.runId = runId;
  }

  /** A publisher was answered: over the command link, in the order in which the server stored. */
  answered(room: string, epoch: string, offset: number): void {
    this.#answered.note(room, epoch, offset, ++this.#count);
  }

  /** A message came over the subscribe link, in the same order. */
  heard(room: string, epoch: string, offset: number): void {
    this.#heard.note(room, epoch, offset, ++this.#count);
  }

  /** A message was read from history, and may be given to members. */
  read(room: string, epoch: string, offset: number): void {
    this.#read.note(room, epoch, offset, ++this.#count);
  }

  /** What comes over the next connection of the subscribe link may be of another run, and must not hide what came over this one. */
  heardLast(): void {
    if (this.#heard.at === 0) return;
    this.#heardBefore.push(this.#heard);
    if (this.#heardBefore.length > MAX_CONNECTIONS) this.#heardBefore.shift();
    this.#heard = new Newest();
  }

  /** To be taken before a beat is sent. */
  get mark(): number {
    return this.#count;
  }

  /** A beat was answered: what was seen up to `mark` was stored before it. */
  confirm(beat: Beat, mark: number): void {
    this.beat = beat;
    this.#heardBefore = this.#heardBefore.filter(({ at }) => at > mark);
    for (const newest of [this.#answered, this.#heard, this.#read]) if (newest.at <= mark) newest.at = 0;
  }

  /** Since the beat. */
  get sights(): readonly Sight[] {
    return [this.#answered, this.#heard, this.#read, ...this.#heardBefore].filter(({ at }) => at > 0);
  }
}
