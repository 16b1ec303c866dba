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

export class Rooms {
  readonly #parts: RoomsParts;
  readonly #memberships = new Map<string, Membership>();
  /** Positions of our messages that are not for us. A later membership goes by them too. */
  #own = new OwnMessages();

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
    if (result?.offset) this.#own.add(room, result.epoch, result.offset);
    this.#memberships.get(room)?.ownSettled();
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
    this.#own = new OwnMessages();
  }

  #begin(name: string, options: RoomOptions): Membership {
    const { isDoubtful, kept } = this.#parts;
    const membership: Membership = new Membership(name, options, {
      ...this.#parts,
      own: this.#own,
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
