/** The rooms that a client is in, by name: each is joined once, however many use it. */
import type { Position, PublishResult, ServerFrame } from '../protocol/frames.ts';
import { Membership, type MembershipParts } from './membership.ts';
import type { KeptState } from './options.ts';
import { OwnMessages } from './own-messages.ts';
import type { RoomOptions } from './room-events.ts';

export interface RoomsParts extends Omit<MembershipParts, 'own' | 'hasDoubtful' | 'released' | 'moved'> {
  /** Whether a message of ours in this room that is not for us may be among those that come, without its offset being known. */
  readonly isDoubtful: (room: string) => boolean;
  readonly kept: () => KeptState | null;
}

/** Rooms that are not joined, of which it is remembered what of ours is there. */
const MAX_STRANGE_ROOMS = 100;

export class Rooms {
  readonly #parts: RoomsParts;
  readonly #memberships = new Map<string, Membership>();
  /** Messages that are not for us, where there are any. A later membership goes by them too. */
  readonly #own = new Map<string, OwnMessages>();

  constructor(parts: RoomsParts) {
    this.#parts = parts;
  }

  get positions(): (readonly [room: string, position: Position | null])[] {
    return Array.from(this.#memberships, ([name, { position }]) => [name, position]);
  }

  /** The membership of that name. The first one says with which options; a list of members is kept once anyone asks for it. */
  use(name: string, options: RoomOptions): Membership {
    let membership = this.#memberships.get(name);
    if (membership === undefined) {
      membership = this.#begin(name, options);
      membership.join();
    } else if (options.members) membership.presence.watch();
    return membership;
  }

  /** Joins them all from where they stand: what they send leaves together. */
  join(): void {
    for (const membership of this.#memberships.values()) membership.join();
  }

  take(frame: ServerFrame): void {
    this.#memberships.get(frame[1] as string)?.take(frame);
  }

  /** A message of ours that is not for us was stored, or (null) will not be. */
  ownSettled(room: string, result: PublishResult | null): void {
    const membership = this.#memberships.get(room);
    if (membership !== undefined) return membership.ownSettled(result);
    if (result !== null && result.offset > 0) this.#ownOf(room).add(result.epoch, result.offset);
  }

  /** Places each where it stood before a reload. */
  place(): void {
    for (const membership of this.#memberships.values()) this.#place(membership);
  }

  disconnected(): void {
    for (const membership of this.#memberships.values()) membership.disconnected();
  }

  /** For good. `error`: null where the application wanted it. */
  leave(error: Error | null): void {
    for (const membership of this.#memberships.values()) membership.leave(error);
    this.#memberships.clear();
    this.#own.clear();
  }

  #ownOf(name: string): OwnMessages {
    const known = this.#own.get(name);
    if (known !== undefined) return known;
    const own = new OwnMessages();
    this.#own.set(name, own);
    const strange = Array.from(this.#own.keys()).filter((room) => !this.#memberships.has(room));
    for (const room of strange.slice(0, -MAX_STRANGE_ROOMS)) this.#own.delete(room);
    return own;
  }

  #begin(name: string, options: RoomOptions): Membership {
    const { isDoubtful, kept } = this.#parts;
    const membership: Membership = new Membership(name, options, {
      ...this.#parts,
      own: this.#ownOf(name),
      hasDoubtful: () => isDoubtful(name),
      moved: () => kept()?.changed(),
      released: () => {
        this.#memberships.delete(name);
        kept()?.left(name, membership.position);
      },
    });
    this.#memberships.set(name, membership);
    this.#place(membership);
    return membership;
  }

  #place(membership: Membership): void {
    membership.placeAt(this.#parts.kept()?.positionOf(membership.name));
  }
}
