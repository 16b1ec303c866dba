import type { Identity } from '../../auth/identity.ts';
import type { Allowance } from '../../connection/allowance.ts';
import { Connection } from '../../connection/connection.ts';
import type { ConnectionContext } from '../../connection/context.ts';
import type { Socket } from '../../connection/socket.ts';
import { jsonCodec } from '../../protocol/codec.ts';
import type { ErrorCode } from '../../protocol/codes.ts';
import type { ErrorDetails, Result } from '../../protocol/frames.ts';
import { HttpError } from '../http/http-error.ts';

/** One of these is called, once. */
export interface CommandAnswer {
  done(result: Result): void;
  failed(error: HttpError): void;
}

/**
 * Stands for the connection of a command that came as an HTTP request, so that it is carried out as any other. It
 * is in no room and gets no push.
 */
export class RequestConnection extends Connection {
  readonly #answer: CommandAnswer;

  constructor(
    number: number,
    identity: Identity | null,
    context: ConnectionContext<Connection>,
    allowance: Allowance,
    answer: CommandAnswer,
  ) {
    super(number, NO_SOCKET, jsonCodec, identity, context, allowance);
    this.#answer = answer;
  }

  override ok(_id: number, result: Result): void {
    this.#answer.done(result);
  }

  override publishOk(_id: number, epoch: string, offset: number, duplicate: boolean): void {
    this.#answer.done(duplicate ? { epoch, offset, duplicate } : { epoch, offset });
  }

  override fail(_id: number, code: ErrorCode, message: string, details?: ErrorDetails): void {
    this.#answer.failed(new HttpError(code, message, {}, details));
  }
}

const NO_SOCKET: Socket = {
  remoteAddress: '',
  addressKey: null,
  send: () => 'dropped',
  cork: (work) => work(),
  subscribe: () => undefined,
  unsubscribe: () => undefined,
  publishToOthers: () => undefined,
  ping: () => undefined,
  bufferedBytes: () => 0,
  end: () => undefined,
  destroy: () => undefined,
};
