/** Frames of a room that wait until it is known which messages among them are our own. */
import type { ServerFrame } from '../protocol/frames.ts';

/** Beyond that all are delivered. */
const MAX_HELD = 1_000;

export class HeldFrames {
  readonly #deliver: (frame: ServerFrame) => void;
  /** Null: nothing has to wait. */
  #frames: ServerFrame[] | null = null;

  constructor(deliver: (frame: ServerFrame) => void) {
    this.#deliver = deliver;
  }

  /** What comes from now on waits. */
  begin(): void {
    this.#frames = [];
  }

  /** Returns whether the frame waits. */
  hold(frame: ServerFrame): boolean {
    if (this.#frames === null) return false;
    this.#frames.push(frame);
    if (this.#frames.length > MAX_HELD) this.release();
    return true;
  }

  release(): void {
    const frames = this.#frames ?? [];
    this.#frames = null;
    for (const frame of frames) this.#deliver(frame);
  }

  /** What waits belongs to a connection that is over. */
  drop(): void {
    this.#frames = null;
  }
}
