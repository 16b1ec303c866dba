import type { Backplane, BackplaneError, PublishRequest } from '../backplane/backplane.ts';
import { KEEPS_NOTHING } from '../backplane/history-policy.ts';
import type { RoomRule } from '../config/room-rule.ts';
import type { Connection } from '../connection/connection.ts';
import { overLimit } from '../connection/over-limit.ts';
import type { NodeMetrics } from '../metrics/node-metrics.ts';
import type { PackedValue, PublishCommand } from '../protocol/frames.ts';
import { buildMessageFrame, buildSignalFrame } from '../protocol/message-frame.ts';
import type { Clock } from '../util/clock.ts';
import { clientConflation, serverConflation } from './conflation-id.ts';
import { clientKey, serverKey } from './key-scope.ts';
import {
  type PendingMessage,
  PendingPublish,
  type PendingPublishParts,
  type PublishReply,
} from './pending-publish.ts';
import { RoomRates } from './room-rates.ts';
import type { PublishOutcome, Unechoed, UnechoedMessage } from './rooms/unechoed.ts';

export interface PublishingParts {
  readonly backplane: Backplane;
  readonly rule: (room: string) => RoomRule;
  readonly metrics: NodeMetrics;
  readonly clock: Clock;
  readonly unechoed: Unechoed;
}

/** A message of the server API, on its way in. */
export interface ServerMessage {
  readonly room: string;
  readonly data: PackedValue;
  readonly key: string | null;
  /** It is a signal. Default false. */
  readonly ephemeral?: boolean;
  readonly conflateKey?: string | null;
}

/** Takes permitted messages: builds the frame that every member will get, and passes it on. */
export class Publishing {
  readonly #parts: PublishingParts;
  readonly #roomRates = new RoomRates();

  constructor(parts: PublishingParts) {
    this.#parts = parts;
  }

  /** From a connection. Copies the payload's bytes before it returns. */
  fromConnection(connection: Connection, command: PublishCommand): void {
    const rule = this.#parts.rule(command.room);
    const { metrics, backplane } = this.#parts;
    const { publishesPerSecond } = rule;
    if (publishesPerSecond && !this.#fitsRoom(connection, command, publishesPerSecond)) return;
    if (command.key !== null && !this.#fitsKeys(connection, command.id)) return;
    metrics.messages.accepted.client++;
    if (command.ephemeral) metrics.messages.signals.client++;
    const exclude = command.echo ? 0 : connection.number;
    const key = command.key === null ? null : clientKey(connection.identity, command.key);
    const { conflateKey } = command;
    const conflation = conflateKey === null ? null : clientConflation(connection, conflateKey);
    const message = this.#build(rule, command, key, connection.sender, exclude, conflation);
    backplane.publish(this.#requestOf(message, connection, command.id));
  }

  /** Rooms with a history store who published what. */
  #requestOf(message: PendingMessage, connection: Connection, id: number): PublishRequest {
    const { room, history, built, exclude, conflation } = message;
    const isUnechoed = exclude !== 0 && conflation !== null && history.messages === 0;
    const noted = isUnechoed ? this.#parts.unechoed.note(room, conflation, exclude, built.frame) : null;
    if (noted === null) return new ConnectionPublish(message, this.#parts, connection, id);
    return new UnechoedPublish(message, this.#parts, connection, id, noted);
  }

  #fitsRoom(connection: Connection, { id, room }: PublishCommand, perSecond: number): boolean {
    const retryAfterMs = this.#roomRates.charge(room, perSecond, this.#parts.clock.nowMs());
    if (retryAfterMs === 0) return true;
    const what = 'too many publishes a second to this room';
    const limit = 'limits.roomPublishesPerSecond';
    connection.overLimit(id, overLimit('rate_limited', what, limit, perSecond, retryAfterMs));
    return false;
  }

  #fitsKeys(connection: Connection, id: number): boolean {
    const retryAfterMs = connection.keyAfterMs();
    if (retryAfterMs === 0) return true;
    const { keysPerUser } = connection.context.limits.settings;
    const what = 'too many idempotency keys are remembered';
    connection.overLimit(
      id,
      overLimit('rate_limited', what, 'limits.keysPerUser', keysPerUser, retryAfterMs),
    );
    return false;
  }

  /** From the server API: there is no sender. */
  fromServer(message: ServerMessage, reply: PublishReply): void {
    const { metrics, backplane, rule } = this.#parts;
    metrics.messages.accepted.http_api++;
    if (message.ephemeral) metrics.messages.signals.http_api++;
    const key = message.key === null ? null : serverKey(message.key);
    const { conflateKey = null } = message;
    const conflation = conflateKey === null ? null : serverConflation(conflateKey);
    const pending = this.#build(rule(message.room), message, key, null, 0, conflation);
    backplane.publish(new ServerPublish(pending, this.#parts, reply));
  }

  #build(
    { history }: RoomRule,
    { room, data, ephemeral }: ServerMessage,
    key: string | null,
    sender: string | null,
    exclude: number,
    conflation: Uint8Array | null,
  ): PendingMessage {
    const { clock } = this.#parts;
    if (ephemeral) {
      const built = buildSignalFrame(room, clock.wallMs(), sender, data);
      const acceptedAtMs = clock.nowMs();
      return { room, history: KEEPS_NOTHING, built, key, exclude, conflation, acceptedAtMs };
    }
    const built = buildMessageFrame(room, clock.wallMs(), sender, data);
    return { room, history, built, key, exclude, conflation, acceptedAtMs: clock.nowMs() };
  }
}

class ConnectionPublish extends PendingPublish {
  readonly #connection: Connection;
  readonly #id: number;

  constructor(message: PendingMessage, parts: PendingPublishParts, connection: Connection, id: number) {
    super(message, parts);
    this.#connection = connection;
    this.#id = id;
    connection.awaiting++;
  }

  override published(epoch: string, offset: number, duplicate: boolean): void {
    this.#connection.awaiting--;
    this.#connection.publishOk(this.#id, epoch, offset, duplicate);
  }

  override failed(error: BackplaneError): void {
    this.#connection.awaiting--;
    this.#connection.fail(this.#id, error.code, error.message);
  }
}

class UnechoedPublish extends ConnectionPublish {
  readonly #unechoed: Unechoed;
  readonly #noted: UnechoedMessage;

  constructor(
    message: PendingMessage,
    parts: PublishingParts,
    connection: Connection,
    id: number,
    noted: UnechoedMessage,
  ) {
    super(message, parts, connection, id);
    this.#unechoed = parts.unechoed;
    this.#noted = noted;
  }

  override settled(error: BackplaneError | null, epoch: string, offset: number, duplicate: boolean): void {
    this.#unechoed.settled(this.#noted, outcomeOf(error, duplicate));
    super.settled(error, epoch, offset, duplicate);
  }
}

/** A duplicate was stored by an earlier try, in a frame of its own. */
function outcomeOf(error: BackplaneError | null, duplicate: boolean): PublishOutcome {
  if (error === null) return duplicate ? 'not stored' : 'stored';
  return error.code === 'unavailable' ? 'not stored' : 'unknown';
}

class ServerPublish extends PendingPublish {
  readonly #reply: PublishReply;

  constructor(message: PendingMessage, parts: PendingPublishParts, reply: PublishReply) {
    super(message, parts);
    this.#reply = reply;
  }

  override published(epoch: string, offset: number, duplicate: boolean): void {
    this.#reply.published(epoch, offset, duplicate);
  }

  override failed(error: BackplaneError): void {
    this.#reply.failed(error);
  }
}
