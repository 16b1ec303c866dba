import type { Acked, AckPage, AckReceipt, Start } from '../../backplane/acks.ts';
import { type Backplane, BackplaneError } from '../../backplane/backplane.ts';
import type { RoomRule } from '../../config/room-rule.ts';
import type { Request } from '../../connection/services.ts';
import type { NodeMetrics } from '../../metrics/node-metrics.ts';
import type { Position } from '../../protocol/frames.ts';
import { USER_ROOM_PREFIX } from '../../protocol/limits.ts';
import type { Logger } from '../../util/log.ts';

export interface AckedReadingParts {
  readonly backplane: Backplane;
  readonly rule: (room: string) => RoomRule;
  readonly metrics: NodeMetrics;
  readonly log: Logger;
}

/** Acknowledged reading: records how far users say they have read, and looks it up. */
export class AckedReading {
  readonly #parts: AckedReadingParts;

  constructor(parts: AckedReadingParts) {
    this.#parts = parts;
  }

  /** Whether a room records how far its users have read. */
  isKeptIn(room: string): boolean {
    const { acks, history } = this.#parts.rule(room);
    // In a personal room it is what brings a user each notification once.
    return history.messages > 0 && (acks ?? room.startsWith(USER_ROOM_PREFIX));
  }

  ack(request: Request, user: string, room: string, position: Position): void {
    const rule = this.#parts.rule(room);
    if (!this.isKeptIn(room)) {
      return request.fail('bad_request', 'this room keeps no acks: set acks in its rule');
    }
    this.#parts.backplane.acks
      .ack(room, rule.history, user, position)
      .then((result) => this.#answer(request, result))
      .catch((cause: unknown) => {
        const error = this.#known(cause, 'cannot store the ack');
        this.#parts.metrics.acks.settled[error.code]++;
        request.fail(error.code, error.message);
      });
  }

  #answer(request: Request, { epoch, offset, outcome }: AckReceipt): void {
    this.#parts.metrics.acks.settled[outcome]++;
    if (outcome !== 'beyond') return request.ok({ epoch, offset: offset ?? 0 });
    request.fail('bad_request', 'the offset is beyond the newest message of the room');
  }

  /** Users who have read up to `from` or further; see `Acks.list`. Rejects with `BackplaneError`. */
  list(room: string, from: number | null, limit: number): Promise<AckPage> {
    const { backplane, rule } = this.#parts;
    return backplane.acks.list(room, rule(room).history, from, limit);
  }

  /** What a user has acknowledged in a room. Rejects with `BackplaneError`. */
  lookUp(room: string, user: string): Promise<Acked> {
    const { backplane, rule } = this.#parts;
    return this.#lookedUp(() => backplane.acks.get(room, rule(room).history, user));
  }

  /**
   * The same, but the first time records the room's position as the user's start. Rejects with
   * `BackplaneError`.
   */
  start(room: string, user: string): Promise<Start> {
    const { backplane, rule } = this.#parts;
    return this.#lookedUp(() => backplane.acks.start(room, rule(room).history, user));
  }

  async #lookedUp<Found>(look: () => Promise<Found>): Promise<Found> {
    this.#parts.metrics.acks.reads++;
    try {
      return await look();
    } catch (cause) {
      throw this.#known(cause, 'cannot look up what the user has read');
    }
  }

  #known(cause: unknown, message: string): BackplaneError {
    if (cause instanceof BackplaneError) return cause;
    this.#parts.log.error({ error: cause }, message);
    return new BackplaneError('internal', 'acks', message, { cause });
  }
}
