/** Acks in the memory of the one process that is the whole broker. */
import type { Clock } from '../../util/clock.ts';
import type { Acked, AckOutcome, AckPage, AckReceipt, Acks, Start } from '../acks.ts';
import type { HistoryPolicy } from '../history-policy.ts';

export interface MemoryAcksParts {
  readonly clock: Clock;
  /** Life of a room's acks in milliseconds, from its last ack on. */
  readonly ttlMs: number;
  /**
   * The room's current position; `begin` as in `ReadOptions`. Throws a `BackplaneError` when the backplane is
   * closed.
   */
  readonly position: (room: string, history: HistoryPolicy, begin: boolean) => Where;
  /** What is kept, by room. */
  readonly rooms: Map<string, RoomAcks>;
}

interface Where {
  readonly epoch: string;
  readonly offset: number;
}

/** How far the users of one room have read. */
export interface RoomAcks {
  readonly epoch: string;
  readonly offsets: Map<string, number>;
  ackedAtMs: number;
}

export class MemoryAcks implements Acks {
  readonly #parts: MemoryAcksParts;
  readonly #rooms: Map<string, RoomAcks>;

  constructor(parts: MemoryAcksParts) {
    this.#parts = parts;
    this.#rooms = parts.rooms;
  }

  async ack(
    room: string,
    history: HistoryPolicy,
    user: string,
    [epoch, offset]: readonly [epoch: string, offset: number],
  ): Promise<AckReceipt> {
    const present = this.#parts.position(room, history, true);
    const kept = this.#offsets(room, present.epoch).get(user) ?? null;
    const outcome = outcomeOf(present, kept ?? 0, epoch, offset);
    const isTouched = (outcome === 'kept' || outcome === 'not_higher') && offset > 0;
    if (isTouched) this.#keep(room, present.epoch, user, Math.max(kept ?? 0, offset));
    return { epoch: present.epoch, offset: outcome === 'kept' ? offset : kept, outcome };
  }

  async get(room: string, history: HistoryPolicy, user: string): Promise<Acked> {
    const { epoch } = this.#parts.position(room, history, true);
    return { epoch, offset: this.#offsets(room, epoch).get(user) ?? null };
  }

  async start(room: string, history: HistoryPolicy, user: string): Promise<Start> {
    const { epoch, offset } = this.#parts.position(room, history, true);
    const kept = this.#offsets(room, epoch).get(user);
    if (kept !== undefined) return { epoch, offset: kept, isNew: false };
    this.#keep(room, epoch, user, offset);
    return { epoch, offset, isNew: true };
  }

  async list(room: string, history: HistoryPolicy, from: number | null, limit: number): Promise<AckPage> {
    const { epoch, offset } = this.#parts.position(room, history, false);
    const least = from ?? offset;
    const all = [...this.#offsets(room, epoch)]
      .filter(([, acked]) => acked >= least)
      .sort(([, one], [, other]) => other - one);
    const users = all.slice(0, limit).map(([user, acked]) => ({ user, offset: acked }));
    return { epoch, offset, count: all.length, users };
  }

  /** Whether a room has any acks. */
  isKeptIn(room: string): boolean {
    return this.#rooms.has(room);
  }

  /** Drops expired acks. */
  sweep(): void {
    for (const [room, acks] of this.#rooms) if (this.#isOver(acks)) this.#rooms.delete(room);
  }

  clear(): void {
    this.#rooms.clear();
  }

  #keep(room: string, epoch: string, user: string, offset: number): void {
    let acks = this.#rooms.get(room);
    if (acks === undefined || acks.epoch !== epoch || this.#isOver(acks)) {
      acks = { epoch, offsets: new Map(), ackedAtMs: 0 };
      this.#rooms.set(room, acks);
    }
    acks.offsets.set(user, offset);
    acks.ackedAtMs = this.#parts.clock.nowMs();
  }

  /** The room's acks in this epoch. */
  #offsets(room: string, epoch: string): ReadonlyMap<string, number> {
    const acks = this.#rooms.get(room);
    return acks === undefined || acks.epoch !== epoch || this.#isOver(acks) ? NONE : acks.offsets;
  }

  #isOver({ ackedAtMs }: RoomAcks): boolean {
    return this.#parts.clock.nowMs() - ackedAtMs >= this.#parts.ttlMs;
  }
}

const NONE: ReadonlyMap<string, number> = new Map();

function outcomeOf(present: Where, kept: number, epoch: string, offset: number): AckOutcome {
  if (epoch !== present.epoch || epoch === '') return 'other_epoch';
  if (offset > present.offset) return 'beyond';
  return offset > kept ? 'kept' : 'not_higher';
}
