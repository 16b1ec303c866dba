import type { Identity } from '../../auth/identity.ts';
import { Allowance, FLOOD, WITHIN } from '../../connection/allowance.ts';
import type { Connection } from '../../connection/connection.ts';
import type { ConnectionContext } from '../../connection/context.ts';
import type { BrokerNode } from '../../node/broker-node.ts';
import { buildCommand } from '../../protocol/commands.ts';
import type { PublishCommand } from '../../protocol/frames.ts';
import { type Exchange, HttpError } from '../http/exchange.ts';
import { decodeRoom } from '../http/history-route.ts';
import { readMessage } from '../http/incoming-messages.ts';
import type { BodyFormat } from '../http/media-types.ts';
import { readBody } from '../http/request-body.ts';
import { retryAfter } from '../http/retry-after.ts';
import type { HttpRequest } from '../uws.ts';
import type { ClientAccess } from './client-access.ts';
import type { Cors } from './cors.ts';
import { RequestConnection } from './request-connection.ts';

export interface PublishRouteParts {
  readonly node: BrokerNode;
  readonly context: ConnectionContext<Connection>;
  readonly access: ClientAccess;
  readonly cors: Cors;
  readonly bodyBytes: number;
}

/** How long what a client sent is remembered after its last request: longer than any burst lasts. */
const REMEMBERED_MS = 60_000;
/** Fewer clients than this are not worth looking through. */
const MIN_SWEEP = 1024;
/** Told to a client that sent too much at once to be worth a number. */
const FLOOD_RETRY_MS = 1000;

interface Account {
  readonly allowance: Allowance;
  usedMs: number;
}

/**
 * `POST /v1/rooms/:room/messages`: the command `publish`, of a client without a socket. All requests of a user, or
 * of an address without one, count as those of one connection.
 */
export class PublishRoute {
  readonly #parts: PublishRouteParts;
  readonly #accounts = new Map<string, Account>();
  #sweepAt = MIN_SWEEP;

  constructor(parts: PublishRouteParts) {
    this.#parts = parts;
  }

  async publish(exchange: Exchange, req: HttpRequest): Promise<void> {
    const { cors, access, bodyBytes } = this.#parts;
    cors.check(exchange, req);
    const token = access.token(exchange, req);
    const room = decodeRoom(req.getParameter(0) ?? '');
    const { body, format } = await readBody(exchange, bodyBytes);
    // After the body, however long it takes: nothing that its owner may no longer do is done.
    const identity = await access.identify(token, exchange.clientAddress);
    if (exchange.isAborted) return;
    this.#charge(identity, exchange.clientAddress, body.length);
    const command = publishOf(room, body, format);
    this.#checkSize(command);
    exchange.reply(200, await this.#run(identity, command));
  }

  #charge(identity: Identity | null, address: string, bytes: number): void {
    const { limits, turn, clock, metrics } = this.#parts.context;
    const nowMs = clock.nowMs();
    const user = identity?.user ?? null;
    const account = this.#account(user === null ? `a${address}` : `u${user}`, nowMs);
    turn.request();
    let verdict = account.allowance.message(limits, user, bytes, turn.number, nowMs);
    if (verdict === WITHIN) verdict = account.allowance.command(limits, nowMs);
    if (verdict === WITHIN) return;
    metrics.commands.rateLimited++;
    const retryAfterMs = verdict === FLOOD ? FLOOD_RETRY_MS : verdict;
    throw new HttpError('rate_limited', 'too many messages or bytes a second', retryAfter(retryAfterMs));
  }

  #account(name: string, nowMs: number): Account {
    let account = this.#accounts.get(name);
    if (account === undefined) {
      if (this.#accounts.size >= this.#sweepAt) this.#forget(nowMs);
      account = { allowance: new Allowance(), usedMs: nowMs };
      this.#accounts.set(name, account);
    }
    account.usedMs = nowMs;
    return account;
  }

  #forget(nowMs: number): void {
    for (const [name, { usedMs }] of this.#accounts) {
      if (usedMs + REMEMBERED_MS <= nowMs) this.#accounts.delete(name);
    }
    this.#sweepAt = Math.max(MIN_SWEEP, 2 * this.#accounts.size);
  }

  #checkSize({ data }: PublishCommand): void {
    const { maxPayloadBytes } = this.#parts.context;
    if (data.length <= maxPayloadBytes) return;
    throw new HttpError(
      'payload_too_large',
      `data may have at most ${maxPayloadBytes} bytes, got ${data.length}`,
    );
  }

  /** Where members may publish, who may join may: a request is no member of anything. */
  #run(identity: Identity | null, command: PublishCommand): Promise<unknown> {
    const { node, context } = this.#parts;
    const isLikeMember = node.joinRefusal(command.room, identity) === null;
    return new Promise((resolve, reject) => {
      const answer = { done: resolve, failed: reject };
      const connection = new RequestConnection(node.nextNumber(), identity, context, answer);
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
