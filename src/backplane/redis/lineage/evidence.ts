/**
 * What this node knows that one run of a server has stored. A disk holds all that was written up to some moment, so the newest writes
 * that a node knows of stand for all before them: a server that has these after it started again lacks nothing of what the node knows.
 *
 * A beat is a write that nodes do now and then for this purpose alone. Once one is answered, what was seen before it was sent is no
 * longer needed.
 */

/** A message that exists, since somebody was told so. */
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
  /** Which of all sights it is. */
  at = 0;

  note(room: string, epoch: string, offset: number, at: number): void {
    this.room = room;
    this.epoch = epoch;
    this.offset = offset;
    this.at = at;
  }
}

/** Of a subscribe link that is lost again and again while no beat is answered. */
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

  /** The server told a publisher. On the command link, in the order in which it stored. */
  answered(room: string, epoch: string, offset: number): void {
    this.#answered.note(room, epoch, offset, ++this.#count);
  }

  /** It came over the subscribe link, in that order too. */
  heard(room: string, epoch: string, offset: number): void {
    this.#heard.note(room, epoch, offset, ++this.#count);
  }

  /** It was read: members may be given it. */
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
