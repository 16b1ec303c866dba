import type { Identity } from '../../auth/identity.ts';
import type { Connection } from '../../connection/connection.ts';
import type { ConnectionContext } from '../../connection/context.ts';
import type { UpgradeRefusalLabel } from '../../metrics/labels.ts';
import type { NodeMetrics } from '../../metrics/node-metrics.ts';
import type { JoinCommand } from '../../protocol/frames.ts';
import type { Admission, Refusal } from '../admission.ts';
import type { EventStreams } from '../events/event-streams.ts';
import { type Exchange, HttpError } from '../http/exchange.ts';
import { queryParameter } from '../http/query.ts';
import { readBody } from '../http/request-body.ts';
import type { RequestLimits } from '../http/request-limits.ts';
import type { UnfinishedBodies } from '../http/unfinished-bodies.ts';
import type { ProxyWarning } from '../proxy-warning.ts';
import { refusalLabel } from '../refusal-label.ts';
import type { HttpRequest } from '../uws.ts';
import { chargeBody } from './body-charge.ts';
import type { ClientAccess } from './client-access.ts';
import type { ClientAccounts } from './client-accounts.ts';
import type { Cors } from './cors.ts';
import type { RequestTurns } from './request-turns.ts';
import { joinOfRoom, joinsOfBody } from './stream-joins.ts';
import { valuesIn } from './values-in.ts';

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
  readonly bodyBytes: number;
  readonly bodies: UnfinishedBodies;
  readonly turns: RequestTurns;
  readonly context: ConnectionContext<Connection>;
}

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
    const { bodyBytes, bodies, turns, context, accounts } = this.#parts;
    const token = this.#enter(exchange, req);
    const { body, format } = await readBody(exchange, bodyBytes, bodies);
    const values = valuesIn(body, format);
    const turn = turns.wait(body.length, values);
    if (turn !== null) await turn;
    const identity = await this.#identify(exchange, token);
    if (exchange.isAborted) return;
    const user = identity?.user ?? null;
    const allowance = accounts.of(user, exchange.addressKey);
    chargeBody(context, allowance, user, { bytes: body.length, values });
    this.#open(exchange, identity, joinsOfBody(body, format, this.#parts.maxRooms));
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
