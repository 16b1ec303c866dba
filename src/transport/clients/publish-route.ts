import type { Identity } from '../../auth/identity.ts';
import type { Allowance } from '../../connection/allowance.ts';
import type { Connection } from '../../connection/connection.ts';
import type { ConnectionContext } from '../../connection/context.ts';
import { type OverLimit, overLimit } from '../../connection/over-limit.ts';
import type { BrokerNode } from '../../node/broker-node.ts';
import { buildCommand } from '../../protocol/commands.ts';
import type { PublishCommand } from '../../protocol/frames.ts';
import type { Exchange } from '../http/exchange.ts';
import { decodeRoom } from '../http/history-route.ts';
import { HttpError } from '../http/http-error.ts';
import { readMessage } from '../http/incoming-messages.ts';
import type { BodyFormat } from '../http/media-types.ts';
import type { RequestLimits } from '../http/request-limits.ts';
import type { HttpRequest } from '../uws.ts';
import type { ClientAccess } from './client-access.ts';
import type { ClientAccounts } from './client-accounts.ts';
import { type ClientBodies, type ClientBody, written } from './client-bodies.ts';
import type { Cors } from './cors.ts';
import { RequestConnection } from './request-connection.ts';

export interface PublishRouteParts {
  readonly node: BrokerNode;
  readonly context: ConnectionContext<Connection>;
  readonly access: ClientAccess;
  readonly cors: Cors;
  readonly accounts: ClientAccounts;
  readonly limits: RequestLimits;
  readonly bodies: ClientBodies;
}

/** What a message has besides its data. */
const OTHER_BYTES = 4096;

/**
 * `POST /v1/rooms/:room/messages`: the command `publish`, of a client without a socket.
 */
export class PublishRoute {
  readonly #parts: PublishRouteParts;

  constructor(parts: PublishRouteParts) {
    this.#parts = parts;
  }

  async publish(exchange: Exchange, req: HttpRequest): Promise<void> {
    const { cors, access, accounts, limits, bodies } = this.#parts;
    cors.check(exchange, req);
    limits.ofAddress(exchange);
    const token = access.token(exchange, req);
    const room = decodeRoom(req.getParameter(0) ?? '');
    const body = await this.#body(exchange);
    // After the body, however long it takes: nothing that its owner may no longer do is done.
    const identity = await access.identify(token, exchange.addressKey);
    if (exchange.isAborted) return;
    const user = identity?.user ?? null;
    const allowance = accounts.of(user, exchange.addressKey);
    await bodies.charge(body, allowance, user);
    if (exchange.isAborted) return;
    access.recheck(identity);
    const command = publishOf(room, body.body, body.format);
    this.#checkSize(command);
    exchange.reply(200, await this.#run(identity, allowance, command));
  }

  /** What is longer than any message is not kept, and not parsed. */
  #body(exchange: Exchange): Promise<ClientBody> {
    const { bodies, context } = this.#parts;
    const most = written(exchange) * context.maxPayloadBytes + OTHER_BYTES;
    // MessagePack is not unpacked.
    return bodies.read(exchange, most, this.#tooLarge('the body is too large'), false);
  }

  #checkSize({ data }: PublishCommand): void {
    if (data.length <= this.#parts.context.maxPayloadBytes) return;
    throw HttpError.of(this.#tooLarge(`data of ${data.length} bytes is too large`));
  }

  #tooLarge(what: string): OverLimit {
    const { maxPayloadBytes } = this.#parts.context;
    return overLimit('payload_too_large', what, 'websocket.maxPayloadBytes', maxPayloadBytes, null);
  }

  /** Where members may publish, who may join may: a request is no member of anything. */
  #run(identity: Identity | null, allowance: Allowance, command: PublishCommand): Promise<unknown> {
    const { node, context } = this.#parts;
    const isLikeMember = node.joinRefusal(command.room, identity) === null;
    return new Promise((resolve, reject) => {
      const answer = { done: resolve, failed: reject };
      const connection = new RequestConnection(node.nextNumber(), identity, context, allowance, answer);
      if (isLikeMember) connection.rooms = [command.room];
      context.commands.publish(connection, command);
    });
  }
}

function publishOf(room: string, body: Buffer, format: BodyFormat): PublishCommand {
  const message = readMessage(body, format);
  if ('problem' in message) throw new HttpError('bad_request', `the body${message.problem}`);
  const { room: named, data, ...options } = message;
  if (named !== undefined && named !== room) {
    throw new HttpError('bad_request', 'the room in the body is not the one in the path: leave it out');
  }
  if (data === undefined) throw new HttpError('bad_request', 'the body: data is missing');
  const command = buildCommand('publish', 1, room, data, options);
  if (command.type === 'rejected') throw new HttpError(command.code, `the body: ${command.message}`);
  return command as PublishCommand;
}
