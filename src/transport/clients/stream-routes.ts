import type { Identity } from '../../auth/identity.ts';
import type { Connection } from '../../connection/connection.ts';
import type { ConnectionContext } from '../../connection/context.ts';
import { overLimit } from '../../connection/over-limit.ts';
import type { UpgradeRefusalLabel } from '../../metrics/labels.ts';
import type { NodeMetrics } from '../../metrics/node-metrics.ts';
import type { JoinCommand } from '../../protocol/frames.ts';
import type { Admission, Refusal } from '../admission.ts';
import type { EventStreams } from '../events/event-streams.ts';
import type { Exchange } from '../http/exchange.ts';
import { HttpError } from '../http/http-error.ts';
import { queryParameter } from '../http/query.ts';
import type { RequestLimits } from '../http/request-limits.ts';
import type { ProxyWarning } from '../proxy-warning.ts';
import { refusalLabel } from '../refusal-label.ts';
import type { HttpRequest } from '../uws.ts';
import type { ClientAccess } from './client-access.ts';
import type { ClientAccounts } from './client-accounts.ts';
import { type ClientBodies, type ClientBody, written } from './client-bodies.ts';
import type { Cors } from './cors.ts';
import { joinOfRoom, joinsOfBody } from './stream-joins.ts';

export interface StreamRoutesParts {
  readonly streams: EventStreams;
  readonly access: ClientAccess;
  readonly cors: Cors;
  readonly accounts: ClientAccounts;
  readonly admission: Admission;
  readonly limits: RequestLimits;
  readonly proxyWarning: ProxyWarning;
  readonly metrics: NodeMetrics;
  /** Rooms of one stream. */
  readonly maxRooms: number;
  readonly bodies: ClientBodies;
  readonly context: ConnectionContext<Connection>;
}

/** What a room of the list has besides its name and its data, and what the body has besides the list. */
const OTHER_BYTES = 512;

/** The routes that open event streams, under the limits on new connections. */
export class StreamRoutes {
  readonly #parts: StreamRoutesParts;

  constructor(parts: StreamRoutesParts) {
    this.#parts = parts;
  }

  /** `GET /v1/rooms/:room/events?last=n|since=epoch,offset` */
  async ofRoom(exchange: Exchange, req: HttpRequest): Promise<void> {
    const token = this.#enter(exchange, req);
    const join = joinOfRoom({
      room: req.getParameter(0) ?? '',
      last: queryParameter(req, 'last'),
      since: queryParameter(req, 'since'),
      lastEventId: req.getHeader('last-event-id'),
    });
    const identity = await this.#identify(exchange, token);
    this.#open(exchange, identity, [join]);
  }

  /** `POST /v1/events` `{rooms: [{room, since?, last?, resume?, members?, data?}]}` */
  async ofRooms(exchange: Exchange, req: HttpRequest): Promise<void> {
    const { bodies, maxRooms, accounts, access } = this.#parts;
    const token = this.#enter(exchange, req);
    const body = await this.#body(exchange);
    const identity = await this.#identify(exchange, token);
    if (exchange.isAborted) return;
    const user = identity?.user ?? null;
    const allowance = accounts.of(user, exchange.addressKey);
    await bodies.charge(body, allowance, user);
    if (exchange.isAborted) return;
    this.#counting('unauthorized', () => access.recheck(identity));
    this.#open(exchange, identity, joinsOfBody(body.body, body.format, maxRooms));
  }

  /** What is longer than any list of so many rooms is not kept, and not parsed. */
  #body(exchange: Exchange): Promise<ClientBody> {
    const { bodies, maxRooms, context } = this.#parts;
    const { room, presenceBytes = Infinity } = context.facts.limits;
    const perRoom = written(exchange) * (room + presenceBytes) + OTHER_BYTES;
    const limit = 'limits.roomsPerConnection';
    const what = 'the body is larger than any list of rooms';
    const tooLarge = overLimit('payload_too_large', what, limit, maxRooms, null);
    const most = maxRooms === 0 ? Infinity : maxRooms * perRoom + OTHER_BYTES;
    return bodies.read(exchange, most, tooLarge, true);
  }

  /** Everything that is decided before a token is checked. */
  #enter(exchange: Exchange, req: HttpRequest): string | null {
    const { cors, access, admission, limits, proxyWarning } = this.#parts;
    this.#counting('origin', () => cors.check(exchange, req));
    this.#counting('address', () => limits.ofAddress(exchange));
    proxyWarning.look(req, () => exchange.peerAddress);
    const token = this.#counting('unauthorized', () => access.token(exchange, req));
    this.#admitted(admission.admit({ addressKey: exchange.addressKey, hasNoToken: false }));
    return token;
  }

  #counting<T>(reason: UpgradeRefusalLabel, work: () => T): T {
    try {
      return work();
    } catch (error) {
      this.#parts.metrics.connections.upgradesRejected[reason]++;
      throw error;
    }
  }

  async #identify(exchange: Exchange, token: string | null): Promise<Identity | null> {
    const { access, metrics } = this.#parts;
    const { upgradesRejected } = metrics.connections;
    try {
      const identity = await access.identify(token, exchange.addressKey);
      if (exchange.isAborted) upgradesRejected.aborted++;
      return identity;
    } catch (error) {
      // One that left is not told, so that it counts once.
      if (exchange.isAborted) upgradesRejected.aborted++;
      else upgradesRejected[error instanceof HttpError ? refusalLabel(error.code) : 'unavailable']++;
      throw error;
    }
  }

  #open(exchange: Exchange, identity: Identity | null, joins: readonly JoinCommand[]): void {
    if (exchange.isAborted) return;
    // Checked again: while the token was being checked, others arrived, or the node began to shut down.
    const { admission, streams, accounts } = this.#parts;
    const { addressKey } = exchange;
    const user = identity?.user ?? null;
    this.#admitted(admission.refusal({ addressKey, hasNoToken: false }, user));
    streams.open(exchange, { identity, joins, allowance: accounts.of(user, addressKey) });
  }

  #admitted(refusal: Refusal | null): void {
    if (refusal !== null) throw HttpError.of(refusal);
  }
}
