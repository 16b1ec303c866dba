/** Frames of clients in the trace of a run: what a person reads to follow one message or one membership. */
import type { InspectedFrame } from '../../../src/client/inspector.ts';

const MOST_CHARACTERS = 200;

export class FrameTrace {
  readonly #clients: readonly string[];
  readonly #rooms: readonly string[];

  /** `names`: of clients, of rooms, or of both: then frames of these clients in these rooms. Empty: no frames. */
  constructor(names: readonly string[]) {
    this.#clients = names.filter(isClient);
    this.#rooms = names.filter((name) => !isClient(name));
  }

  /** Null: this frame is not asked for. */
  lineOf(client: string, { direction, frame }: InspectedFrame): string | null {
    if (!this.#shows(client, frame)) return null;
    const text = JSON.stringify(frame);
    const cut = text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}…` : text;
    return `${client} ${direction === 'sent' ? 'sends' : 'gets'} ${cut}`;
  }

  /** Replies name no room: with rooms they are left out. */
  #shows(client: string, [, second, third]: readonly unknown[]): boolean {
    if (this.#clients.length + this.#rooms.length === 0) return false;
    if (this.#clients.length > 0 && !this.#clients.includes(client)) return false;
    // The room is the first field of a push, and the second of a command, after its id.
    return this.#rooms.length === 0 || this.#rooms.some((room) => room === second || room === third);
  }
}

export function isClient(name: string): boolean {
  return /^client-\d+$/.test(name);
}
