import type { Connection } from '../../connection/connection.ts';
import type { Request } from '../../connection/services.ts';
import type { JoinResult } from '../../protocol/frames.ts';
import type { JoinFailure } from '../catch-up/cursor.ts';
import type { JoinReply } from './join.ts';

/** A join that a client asked for. */
export class RequestedJoin implements JoinReply {
  readonly #request: Request;

  constructor(request: Request) {
    this.#request = request;
  }

  joined(result: JoinResult): void {
    this.#request.ok(result);
    this.#request.connection.flushBeforeMessages();
  }

  failed({ code, message, details }: JoinFailure): void {
    this.#request.fail(code, message, details);
  }

  abandoned(): void {
    // The connection is gone: there is no one to tell.
    if (!this.#request.connection.isOpen) return;
    this.#request.fail(
      'not_joined',
      'the connection left the room or joined it again before this join finished',
    );
  }
}

/** For a join of the server API: the client is told what it would have been answered. */
export class PlacedJoin implements JoinReply {
  readonly #connection: Connection;
  readonly #room: string;

  constructor(connection: Connection, room: string) {
    this.#connection = connection;
    this.#room = room;
  }

  joined(result: JoinResult): void {
    this.#connection.push(['joined', this.#room, result]);
    this.#connection.flushBeforeMessages();
  }

  failed(): void {
    // It never knew of it.
  }

  abandoned(): void {
    // The client left the room, or joined it itself.
  }
}

/** For a join that nobody asked for: nobody is told. */
export const UNASKED: JoinReply = {
  joined: () => undefined,
  failed: () => undefined,
  abandoned: () => undefined,
};
