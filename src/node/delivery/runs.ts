import type { Envelope } from '../../backplane/envelope.ts';
import type { Feed } from '../rooms/feed.ts';

/** Envelopes of one room and turn are joined into WebSocket messages of about this many bytes. */
const JOINED_BYTES = 64 * 1024;

/** Frames for the same audience that leave as one WebSocket message. */
export interface Run {
  readonly parts: Buffer[];
  bytes: number;
  messages: number;
  /** Offset of its newest message; 0 in rooms without history, and where it has signals alone. */
  last: number;
  /** Frames of envelopes that conflate. */
  marks: number;
  /** Local connection to leave out, or 0. */
  readonly exclude: number;
}

/** Joins the envelopes of one room into runs, and passes each on when it is full. */
export class Runs {
  readonly #nodeId: string;
  readonly #publish: (feed: Feed, run: Run) => void;
  #run: Run | null = null;

  constructor(nodeId: string, publish: (feed: Feed, run: Run) => void) {
    this.#nodeId = nodeId;
    this.#publish = publish;
  }

  add(feed: Feed, envelope: Envelope): void {
    // Only the publisher's own node needs to take an envelope apart to leave the publisher out.
    if (!envelope.hasExcludes || envelope.origin !== this.#nodeId) {
      this.#extend(feed, envelope.frames, envelope.count, envelope.last, 0, envelope.conflates);
      return;
    }
    for (let i = 0; i < envelope.count; i++) {
      const last = envelope.first === 0 ? 0 : envelope.first + i;
      this.#extend(feed, envelope.slice(i, i + 1), 1, last, envelope.excluded(i), envelope.conflates);
    }
  }

  #extend(
    feed: Feed,
    frames: Buffer,
    messages: number,
    last: number,
    exclude: number,
    conflates: boolean,
  ): void {
    const bytes = frames.length;
    const run = this.#run;
    if (run === null || run.exclude !== exclude || run.bytes + bytes > JOINED_BYTES) {
      this.end(feed);
      this.#run = { parts: [frames], bytes, messages, last, marks: conflates ? messages : 0, exclude };
      return;
    }
    run.parts.push(frames);
    run.bytes += bytes;
    run.messages += messages;
    if (conflates) run.marks += messages;
    // Signals have no number.
    if (last !== 0) run.last = last;
  }

  /** Passes on the last run, which is not full. */
  end(feed: Feed): void {
    const run = this.#run;
    this.#run = null;
    if (run !== null) this.#publish(feed, run);
  }
}
