import type { CommandReader } from '../protocol/frames.ts';
import { BytePages } from './byte-pages.ts';
import type { CommandTurns } from './command-turns.ts';
import type { OverLimit } from './over-limit.ts';

/** What it takes to keep a message, however short it is. */
const MESSAGE_COST = 64;

/** What is left of a message. */
export interface HeldMessage {
  /** The message as it came, which is decoded when its turn comes; or what reads the rest of it. */
  commands: Uint8Array | CommandReader;
  /** Each command is answered with this; null: it is carried out. */
  readonly refusal: OverLimit | null;
  /** None of its commands has been read. */
  isWhole: boolean;
}

/** More messages than this that were carried out are worth removing. */
const MIN_DONE = 256;

/**
 * Messages whose commands wait, in order, while a token is being checked, or for their turn. They are kept as they
 * came: what waits costs a copy of its bytes, and is decoded when it is carried out.
 */
export class HeldCommands {
  #messages: HeldMessage[] = [];
  #sizes: number[] = [];
  #at = 0;
  readonly #pages = new BytePages();
  /** About what all of it takes. */
  bytes = 0;
  readonly #turns: Pick<CommandTurns, 'hold' | 'release'>;

  /** `turns`: count what all connections of the node have waiting. */
  constructor(turns: Pick<CommandTurns, 'hold' | 'release'>) {
    this.#turns = turns;
  }

  /** Keeps a message that nobody has read. Its bytes may be reused once this returns. */
  keep(bytes: Uint8Array, refusal: OverLimit | null): void {
    this.add({ commands: this.#pages.copy(bytes), refusal, isWhole: true }, bytes.length);
  }

  /** Keeps the commands that `message` has not given yet, which take so many bytes: see `CommandReader.keep`. */
  add(message: HeldMessage, bytes: number): void {
    const size = bytes + MESSAGE_COST;
    this.bytes += size;
    this.#turns.hold(size);
    this.#messages.push(message);
    this.#sizes.push(size);
  }

  get messages(): number {
    return this.#messages.length - this.#at;
  }

  /** The oldest. */
  get first(): HeldMessage | null {
    return this.#messages[this.#at] ?? null;
  }

  /** The oldest has been carried out. */
  shift(): void {
    const size = this.#sizes[this.#at++] ?? 0;
    this.bytes -= size;
    this.#turns.release(size);
    if (this.#at < MIN_DONE || 2 * this.#at < this.#messages.length) return;
    this.#messages = this.#messages.slice(this.#at);
    this.#sizes = this.#sizes.slice(this.#at);
    this.#at = 0;
  }

  /** Nothing of it will be carried out. Called last. */
  drop(): void {
    this.#turns.release(this.bytes);
    this.bytes = 0;
  }
}
