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
import { type Denied, memberSubject } from './denied.ts';
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
    const { backplane, control } = this.#parts;
    if (forMs !== null && forMs > 0 && !this.#share.allows(key, room, user)) throw new TooManyDenials(key);
    const subject = memberSubject(room, user);
    if (forMs === 0) await this.#lift(room, user);
    else if (forMs !== null && !(await backplane.denials.deny(subject, forMs))) throw new TooManyDenials();
    await control.send({ type: 'remove', room, user, reason, forMs });
  }

  async add(room: string, user: string): Promise<void> {
    await this.#lift(room, user);
    await this.#parts.control.send({ type: 'add', room, user });
  }

  /** Also where this node knows of nothing: it may have been cut off. */
  #lift(room: string, user: string): Promise<void> {
    const { backplane, denied } = this.#parts;
    return backplane.denials.lift(memberSubject(room, user), Math.max(1, denied.leftMs(user, room)));
  }

  /** @throws {TooManyDenials} */
  async revoke(revoked: Revoked, forMs: number): Promise<void> {
    const { backplane, control } = this.#parts;
    if (!(await backplane.denials.deny(revokedSubject(revoked), forMs))) throw new TooManyDenials();
    const { kind, id, issuedBeforeMs } = revoked;
    if (issuedBeforeMs === undefined) await control.send({ type: 'revoke', kind, id, forMs });
    else await control.send({ type: 'sign_out', user: id, issuedBeforeMs, forMs });
  }

  /** Ends a revocation, of a user also those of tokens of before a time, also where this node knows of none. */
  async endRevocation(revoked: Revoked): Promise<void> {
    const { backplane, denied, control } = this.#parts;
    const { kind, id } = revoked;
    const subject = revokedSubject({ kind, id });
    const lefts = new Map([[subject, 1]]);
    for (const known of denied.revocations(revoked))
      lefts.set(revokedSubject(known), Math.max(1, known.leftMs));
    for (const [of, leftMs] of lefts) await backplane.denials.lift(of, leftMs);
    await control.send({ type: 'revoke', kind, id, forMs: 0 });
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
