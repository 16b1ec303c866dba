/** A connection that consists of requests: the rooms that were joined as one event stream, each publish as a request. */
import type { ErrorCode } from '../protocol/codes.ts';
import type { JoinResult, ServerFrame } from '../protocol/frames.ts';
import type { Timer } from '../util/scheduler.ts';
import type { Chunk, ClientCodec } from './codec.ts';
import type { Environment } from './environment.ts';
import { messageOf } from './errors.ts';
import { errorFrame, type HttpError, HttpPublisher } from './http-publisher.ts';
import { readStream, type StreamEvent } from './sse-reader.ts';
import { type StreamRoom, StreamRooms } from './stream-rooms.ts';
import type { Link, LinkEvents } from './transport.ts';

export interface SseLinkParts {
  /** Such as `https://example.com`. */
  readonly base: string;
  readonly token: string | null;
  readonly environment: Environment;
  readonly codec: ClientCodec;
  readonly events: LinkEvents;
}

type Command = readonly [type: string, id: number, room: string, ...fields: unknown[]];

/** Each change of presence data takes a new stream: those of this time are one. */
const PRESENCE_MS = 1_000;
/** Nodes send something at least every 15 s. */
const SILENT_AFTER_MS = 30_000;
const MAX_PAYLOAD = 65_536;
const LOST = 1006;
/** The node refuses for now. */
const TRY_AGAIN_LATER = 1013;
const CODES: Readonly<Record<string, number>> = {
  unauthorized: 4501,
  token_expired: 4002,
  token_revoked: 4505,
};

export class SseLink implements Link {
  readonly bufferedBytes = 0;
  readonly #parts: SseLinkParts;
  readonly #rooms = new StreamRooms();
  readonly #publisher: HttpPublisher;
  #stream: AbortController | null = null;
  /** Opens the stream that brings changed presence data. */
  #bringing: Timer | null = null;
  #heardAtMs = 0;
  #isOver = false;

  constructor(parts: SseLinkParts) {
    this.#parts = parts;
    this.#publisher = new HttpPublisher({
      ...parts,
      answer: (...frames) => this.#tell(frames),
      lost: (reason) => this.#closed(LOST, reason),
    });
    void this.#open();
  }

  send(message: Chunk): void {
    const before = this.#rooms.version;
    for (const command of message as unknown as Command[]) this.#take(command);
    if (this.#rooms.version !== before) this.#openStream();
  }

  abandon(): void {
    this.#isOver = true;
    this.#bringing?.cancel();
    this.#stream?.abort();
    this.#publisher.stop();
  }

  /** Nobody says hello. A node answers a request without rooms with 400, once it has accepted the token. */
  async #open(): Promise<void> {
    const stream = new AbortController();
    this.#stream = stream;
    try {
      const response = await this.#request(stream, []);
      if (response.status !== 400) return await this.#refused(stream, response);
      this.#stream = null;
      this.#opened();
    } catch (error) {
      this.#closed(LOST, messageOf(error));
    }
  }

  #opened(): void {
    if (this.#isOver) return;
    const hello = { connection: '', node: '', user: null, heartbeatMs: SILENT_AFTER_MS, version: 1 as const };
    this.#parts.events.opened();
    this.#tell([['hello', { ...hello, maxPayload: MAX_PAYLOAD, silentAfterMs: SILENT_AFTER_MS }]]);
  }

  #take(command: Command): void {
    const [type, id, room, ...fields] = command;
    switch (type) {
      case 'join':
        return this.#rooms.join(id, room, (fields[0] ?? {}) as StreamRoom['options']);
      case 'leave':
        this.#rooms.leave(room);
        return this.#answer(['ok', id, {}]);
      case 'publish':
        return this.#publisher.publish(id, room, fields[0] as Chunk, fields[1] as object);
      case 'ping':
        // A stream that is silent for long is dead: no answer.
        if (this.#stream === null || this.#silentMs < SILENT_AFTER_MS) this.#answer(['ok', id, {}]);
        return;
      case 'presence':
        return this.#setPresence(id, room, fields[0]);
      default:
        return this.#fail(id, 'bad_request', `${type} needs a WebSocket, and none can be opened here`);
    }
  }

  #setPresence(id: number, room: string, data: unknown): void {
    if (!this.#rooms.setData(room, data)) return this.#fail(id, 'not_joined', `not in room ${room}`);
    this.#bringing ??= this.#parts.environment.scheduler.after(PRESENCE_MS, () => this.#openStream());
    this.#answer(['ok', id, {}]);
  }

  #fail(id: number, code: ErrorCode, message: string): void {
    this.#answer(['error', id, code, message]);
  }

  get #silentMs(): number {
    return this.#parts.environment.scheduler.nowMs() - this.#heardAtMs;
  }

  /** With the rooms of now, in place of the stream before. */
  #openStream(): void {
    this.#bringing?.cancel();
    this.#bringing = null;
    this.#stream?.abort();
    const rooms = this.#rooms.asked();
    this.#stream = rooms.length === 0 ? null : new AbortController();
    if (this.#stream !== null) void this.#read(this.#stream, rooms);
  }

  async #read(stream: AbortController, rooms: readonly object[]): Promise<void> {
    try {
      const response = await this.#request(stream, rooms);
      if (!response.ok) return await this.#refused(stream, response);
      for await (const event of readStream(response.body!)) {
        if (this.#stream !== stream || this.#isOver) return;
        this.#heardAtMs = this.#parts.environment.scheduler.nowMs();
        this.#event(event);
      }
      if (this.#stream === stream) this.#closed(LOST, 'the event stream ended');
    } catch (error) {
      if (this.#stream === stream) this.#closed(LOST, messageOf(error));
    }
  }

  #request(stream: AbortController, rooms: readonly object[]): Promise<Response> {
    const { base, token } = this.#parts;
    return fetch(`${base}/v1/events`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(token !== null && { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify({ rooms }),
      signal: stream.signal,
    });
  }

  /** An HTTP error: of a room, where one room alone can be the reason, or else of the connection. */
  async #refused(stream: AbortController, response: Response): Promise<void> {
    const { error } = (await response.json()) as { error: HttpError };
    if (this.#stream !== stream || this.#isOver) return;
    const isOfRoom = ['forbidden', 'bad_room', 'bad_request'].includes(error.code);
    if (isOfRoom && this.#rooms.isAnyNew) {
      const id = this.#rooms.refuse();
      this.#openStream();
      if (id !== null) this.#tell([errorFrame(id, error, response)]);
      return;
    }
    this.#tell([errorFrame(0, error, response)]);
    this.#closed(CODES[error.code] ?? TRY_AGAIN_LATER, error.message);
  }

  /** A null event is a heartbeat. */
  #event(event: StreamEvent | null): void {
    if (event === null) return this.#tell([]);
    const [type, room, result] = event.frame;
    if (event.id !== null) this.#rooms.moved(room as string, event.id);
    if (type === 'close') return this.#closed(room as number, result as string);
    if (type === 'removed') this.#rooms.leave(room as string);
    if (type !== 'joined') return this.#tell([event.frame as unknown as ServerFrame]);
    const id = this.#rooms.joined(room as string);
    // Of a room that the stream before had already: nobody waits for it, but members may have come and gone in between.
    if (id === null) return this.#rejoined(room as string, result as JoinResult);
    this.#tell([['ok', id, result as object] as ServerFrame]);
    if (this.#rooms.isAnyLeftOut) this.#openStream();
  }

  #rejoined(room: string, { members }: JoinResult): void {
    if (members !== undefined) this.#tell([['members', room, members]]);
  }

  /** As from a node: never while `send` runs. */
  #answer(frame: ServerFrame): void {
    this.#parts.environment.scheduler.atEndOfTurn(() => this.#tell([frame]));
  }

  #tell(frames: readonly ServerFrame[]): void {
    if (!this.#isOver) this.#parts.events.message(frames);
  }

  #closed(code: number, reason: string): void {
    if (this.#isOver) return;
    this.abandon();
    this.#parts.events.closed(code, reason);
  }
}
