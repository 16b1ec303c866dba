import type { ServerKey } from '../auth/server-key.ts';
import type { Backplane } from '../backplane/backplane.ts';
import { MAX_DENIALS } from '../backplane/denials.ts';
import type { RoomRule } from '../config/room-rule.ts';
import type { Connection } from '../connection/connection.ts';
import type { Hub } from '../hub/hub.ts';
import type { Position } from '../protocol/frames.ts';
import { USER_ROOM_PREFIX } from '../protocol/limits.ts';
import type { Clock } from '../util/clock.ts';
import type { ControlMessages } from './control-messages.ts';
import { DENIALS_OF_KEY, DenialShare } from './denial-share.ts';
import { memberSubject } from './denial-table.ts';
import type { Denied } from './denied.ts';
import { type Revoked, revokedSubject } from './revoked.ts';

export interface ServerCallsParts {
  readonly backplane: Backplane;
  readonly control: ControlMessages;
  readonly denied: Denied;
  readonly hub: Hub<Connection>;
  readonly rule: (room: string) => RoomRule;
  readonly clock: Pick<Clock, 'nowMs'>;
}

export interface Removal {
  /** For people; '' for none. */
  readonly reason: string;
  /** How long the user is kept out, in ms; 0: it no longer is; null: as before. */
  readonly forMs: number | null;
}

/** Where a user is connected. */
export interface UserStatus {
  readonly online: boolean;
  /** How many nodes the user is connected to. */
  readonly nodes: number;
}

/** More is denied than a node can remember. */
export class TooManyDenials extends Error {
  override readonly name = 'TooManyDenials';

  /** `key`: the one whose share is used up; null: the whole list is full. */
  constructor(key: ServerKey | null = null) {
    super(
      key !== null
        ? `${DENIALS_OF_KEY} users are kept out of the rooms of the API key "${key.name}", which is the most for a key that is for some rooms only: give shorter times, or wait until some end`
        : `the list of users that are kept out of rooms, and of revocations, is full (${MAX_DENIALS}): give shorter times, or wait until some end`,
    );
  }
}

/**
 * What the server API has done on all nodes: written down first, then told. All methods reject with
 * `BackplaneError`. A node that is cut off when the others are told reads what is written down when it is back.
 */
export class ServerCalls {
  readonly #parts: ServerCallsParts;
  readonly #share: DenialShare;

  constructor(parts: ServerCallsParts) {
    this.#parts = parts;
    this.#share = new DenialShare(parts.denied, () => parts.clock.nowMs());
  }

  disconnect(user: string): Promise<void> {
    return this.#parts.control.send({ type: 'disconnect', user });
  }

  /** `key`: of the HTTP API; null for one that may do everything. @throws {TooManyDenials} */
  async remove(room: string, user: string, { reason, forMs }: Removal, key: ServerKey | null): Promise<void> {
    const { control } = this.#parts;
    if (forMs !== null && forMs > 0 && !this.#share.allows(key, room, user)) throw new TooManyDenials(key);
    const changedAtMs = await this.#keepOut(room, user, forMs);
    await control.send({
      type: 'remove',
      room,
      user,
      reason,
      forMs,
      ...(changedAtMs !== null && { changedAtMs }),
    });
  }

  /** Null: as before. Resolves with the time of the change, if there is one. */
  async #keepOut(room: string, user: string, forMs: number | null): Promise<number | null> {
    if (forMs === null) return null;
    return forMs === 0 ? this.#lift(room, user) : this.#deny(memberSubject(room, user), forMs);
  }

  async add(room: string, user: string): Promise<void> {
    const changedAtMs = await this.#lift(room, user);
    await this.#parts.control.send({ type: 'add', room, user, changedAtMs });
  }

  /** @throws {TooManyDenials} */
  async #deny(subject: string, forMs: number): Promise<number> {
    const { backplane, denied } = this.#parts;
    const changedAtMs = await backplane.denials.deny(subject, forMs, denied.changedAtMs(subject));
    if (changedAtMs === null) throw new TooManyDenials();
    return changedAtMs;
  }

  /** Also where this node knows of nothing: it may have been cut off. */
  #lift(room: string, user: string): Promise<number> {
    const { backplane, denied } = this.#parts;
    const subject = memberSubject(room, user);
    const leftMs = Math.max(1, denied.leftMs(user, room));
    return backplane.denials.lift(subject, leftMs, denied.changedAtMs(subject));
  }

  /** @throws {TooManyDenials} */
  async revoke(revoked: Revoked, forMs: number): Promise<void> {
    const { control } = this.#parts;
    const changedAtMs = await this.#deny(revokedSubject(revoked), forMs);
    const { kind, id, issuedBeforeMs } = revoked;
    if (issuedBeforeMs === undefined) await control.send({ type: 'revoke', kind, id, forMs, changedAtMs });
    else await control.send({ type: 'sign_out', user: id, issuedBeforeMs, forMs, changedAtMs });
  }

  /** Ends a revocation, of a user also those of tokens of before a time, also where this node knows of none. */
  async endRevocation(revoked: Revoked): Promise<void> {
    const { backplane, denied, control } = this.#parts;
    const { kind, id } = revoked;
    const subject = revokedSubject({ kind, id });
    const lefts = new Map([[subject, 1]]);
    for (const known of denied.revocations(revoked))
      lefts.set(revokedSubject(known), Math.max(1, known.leftMs));
    // One message says it of all: the earliest of the times, so that no node takes its own for later than the store's.
    let changedAtMs = Number.POSITIVE_INFINITY;
    for (const [of, leftMs] of lefts) {
      changedAtMs = Math.min(changedAtMs, await backplane.denials.lift(of, leftMs, denied.changedAtMs(of)));
    }
    await control.send({ type: 'revoke', kind, id, forMs: 0, changedAtMs });
  }

  /** Resolves with the room's new position, null for a room without numbering. */
  async clearHistory(room: string): Promise<Position | null> {
    const { backplane, control, rule } = this.#parts;
    const { epoch, offset } = await backplane.clearHistory(room, rule(room).history);
    if (epoch === '') return null;
    await control.send({ type: 'cleared', room });
    return [epoch, offset];
  }

  /**
   * Every node with a connection of the user is subscribed to the user's personal room, and stays so for some
   * seconds after the last one left; of this node it is known whether it has one.
   */
  async statusOf(user: string): Promise<UserStatus> {
    const { backplane, hub } = this.#parts;
    const room = USER_ROOM_PREFIX + user;
    const isHere = hub.hasUser(user);
    const lingers = !isHere && hub.room(room) !== undefined;
    const nodes = Math.max((await backplane.subscribers(room)) - (lingers ? 1 : 0), isHere ? 1 : 0);
    return { online: nodes > 0, nodes };
  }
}
