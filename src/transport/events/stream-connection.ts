import type { Identity } from '../../auth/identity.ts';
import type { Allowance } from '../../connection/allowance.ts';
import { Connection } from '../../connection/connection.ts';
import type { ConnectionContext } from '../../connection/context.ts';
import type { Socket } from '../../connection/socket.ts';
import { CLOSE, type ErrorCode } from '../../protocol/codes.ts';
import type { ErrorDetails, JoinResult, Result, ServerFrame } from '../../protocol/frames.ts';
import { sseCodec } from '../../protocol/sse/codec.ts';

/** Told how the joins of an event stream end; `id` is that of the join's command. */
export interface JoinOutcomes {
  joined(id: number, result: JoinResult): void;
  failed(id: number, code: ErrorCode, message: string, details?: ErrorDetails): void;
}

/** The session of an event stream. It gets pushes as any connection does, and no replies but those of its joins. */
export class StreamConnection extends Connection {
  readonly #outcomes: JoinOutcomes;

  constructor(
    number: number,
    socket: Socket,
    identity: Identity | null,
    context: ConnectionContext<Connection>,
    allowance: Allowance,
    outcomes: JoinOutcomes,
  ) {
    super(number, socket, sseCodec, identity, context, allowance);
    this.#outcomes = outcomes;
  }

  override ok(id: number, result: Result): void {
    this.#outcomes.joined(id, result as JoinResult);
  }

  /** Id 0: an error of the whole connection. */
  override fail(id: number, code: ErrorCode, message: string, details?: ErrorDetails): void {
    if (id === 0) super.fail(id, code, message, details);
    else this.#outcomes.failed(id, code, message, details);
  }

  /** A stream that was removed from its last room would stay silent for ever. */
  override push(frame: ServerFrame, epoch = ''): void {
    super.push(frame, epoch);
    if (frame[0] === 'removed' && this.rooms.length === 0) this.close(CLOSE.disconnected);
  }
}
