import type { Position } from '../../src/protocol/frames.ts';

/** What happened to a member between two messages. */
export type MemberEvent =
  | {
      readonly kind: 'joined';
      readonly epoch: string;
      readonly offset: number;
      readonly since: Position | null;
      readonly recovered: boolean;
      /** The offset before the first message that follows, where the join said `last`. */
      readonly from?: number | undefined;
    }
  | { readonly kind: 'gap'; readonly from: number; readonly to: number }
  | { readonly kind: 'reset'; readonly epoch: string; readonly offset: number }
  /** The connection ended. The membership goes on: a client that returns joins with its position. */
  | { readonly kind: 'closed'; readonly code: number }
  /** The membership ended by the client's own wish. */
  | { readonly kind: 'left' };

export interface Mark {
  /** How many messages came before it. */
  readonly at: number;
  readonly event: MemberEvent;
}

/** What one member was given in one room, in order, as numbers: a run has millions of them. */
export class MemberLog {
  readonly name: string;
  readonly room: string;
  readonly offsets: number[] = [];
  /** Each message's own number, which no other message has. */
  readonly payloads: number[] = [];
  /** When each arrived, on the clock of `performance.now`. */
  readonly atMs: number[] = [];
  readonly marks: Mark[] = [];
  /** Milliseconds between two messages, at most. */
  longestSilenceMs = 0;
  /** So many messages may be left out, since nobody knows where its own are that it wanted no echo of. */
  mayLack = 0;
  #position: Position | null = null;
  /** Where messages of its own stand that it wanted no echo of. */
  readonly #own = new Set<string>();
  readonly #ownOffsets = new Set<number>();
  #heardAtMs = 0;

  constructor(name: string, room: string) {
    this.name = name;
    this.room = room;
  }

  /** Where a client that trusts its node stands; null before it joined and after it left. */
  get position(): Position | null {
    return this.#position;
  }

  message(offset: number, payload: number): void {
    this.offsets.push(offset);
    this.payloads.push(payload);
    this.#position = [this.#position?.[0] ?? '', offset];
    const nowMs = performance.now();
    this.atMs.push(nowMs);
    if (this.#heardAtMs > 0) this.longestSilenceMs = Math.max(this.longestSilenceMs, nowMs - this.#heardAtMs);
    this.#heardAtMs = nowMs;
    this.#passOwn();
  }

  /** It begins after this, as it says itself. */
  placeAt(position: Position): void {
    const [epoch, offset] = position;
    this.event({ kind: 'joined', epoch, offset, since: null, recovered: true });
  }

  /** A message of its own that it wanted no echo of stands here: it is not owed. */
  own(epoch: string, offset: number): void {
    this.#own.add(`${epoch}:${offset}`);
    this.#ownOffsets.add(offset);
    this.#passOwn();
  }

  /** One of them, of a time before this membership: its node leaves it out all the same. */
  ownBefore(offset: number): void {
    this.#ownOffsets.add(offset);
  }

  /** In whatever numbering: the messages that outlive one keep their offsets in the next. */
  isOwn(offset: number): boolean {
    return this.#ownOffsets.has(offset);
  }

  #passOwn(): void {
    if (this.#own.size === 0 || this.#position === null) return;
    let [epoch, offset] = this.#position;
    while (this.#own.has(`${epoch}:${offset + 1}`)) offset++;
    this.#position = [epoch, offset];
  }

  event(event: MemberEvent): void {
    this.marks.push({ at: this.offsets.length, event });
    if (event.kind === 'joined' && event.since === null)
      this.#position = [event.epoch, event.from ?? event.offset];
    // Who has seen no message takes the numbering that the node has.
    else if (event.kind === 'joined' && event.since?.[1] === 0) this.#position = [event.epoch, 0];
    else if (event.kind === 'gap') this.#position = [this.#position?.[0] ?? '', event.to];
    else if (event.kind === 'reset') this.#position = [event.epoch, event.offset];
    else if (event.kind === 'left') {
      this.#position = null;
      this.#heardAtMs = 0;
    }
    this.#passOwn();
  }

  /** How often something of this kind happened. */
  count(kind: MemberEvent['kind']): number {
    return this.marks.filter(({ event }) => event.kind === kind).length;
  }
}
