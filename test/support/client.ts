/**
 * A raw speaker of the protocol over the `ws` package. It hides nothing: no reconnect, no ordering, every frame is kept as
 * it came. What the SDK promises is not tested through this.
 */
import { once } from 'node:events';
import type { IncomingHttpHeaders } from 'node:http';
import WebSocket from 'ws';
import { decodeServerFrames, encodeCommand } from '../../src/protocol/client-codec.ts';
import type {
  CommandFrame,
  HelloInfo,
  MessageFrame,
  ReplyFrame,
  ServerFrame,
} from '../../src/protocol/frames.ts';
import { type Encoding, SUBPROTOCOL } from '../../src/protocol/subprotocol.ts';
import { within } from './wait.ts';

export interface ConnectOptions {
  /** Default msgpack. */
  readonly encoding?: Encoding;
  /** Sent as `Authorization: Bearer`. */
  readonly token?: string;
  /** Further headers of the upgrade. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Subprotocols to offer in place of the encoding's. */
  readonly protocols?: readonly string[];
  /** PEM certificate to trust, for `wss:`. */
  readonly ca?: string;
}

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

/** The upgrade was answered with an HTTP status. */
export class UpgradeRefused extends Error {
  override readonly name = 'UpgradeRefused';
  readonly status: number;
  readonly headers: IncomingHttpHeaders;

  constructor(status: number, headers: IncomingHttpHeaders) {
    super(`the upgrade was answered with ${status}`);
    this.status = status;
    this.headers = headers;
  }
}

interface Waiter {
  readonly matches: (frame: ServerFrame) => boolean;
  readonly resolve: (frame: ServerFrame) => void;
}

export class TestClient {
  /** Every frame received, in order. */
  readonly frames: ServerFrame[] = [];
  /** How many WebSocket messages they came in. */
  websocketMessages = 0;
  readonly closed: Promise<Closed>;
  /** The socket itself, to be paused, terminated and the like. */
  readonly socket: WebSocket;
  readonly encoding: Encoding;
  readonly #taken = new Set<ServerFrame>();
  readonly #waiters = new Set<Waiter>();
  #lastId = 0;

  private constructor(socket: WebSocket, encoding: Encoding) {
    this.socket = socket;
    this.encoding = encoding;
    socket.on('message', (message, isBinary) => this.#receive(message as Buffer, isBinary));
    this.closed = new Promise((resolve) => {
      socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
  }

  /** Resolves when the socket is open. `hello` may still be on its way. Rejects with `UpgradeRefused`. */
  static async connect(url: string, options: ConnectOptions = {}): Promise<TestClient> {
    const { encoding = 'msgpack', token, headers = {}, protocols = [SUBPROTOCOL[encoding]], ca } = options;
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const socket = new WebSocket(url, [...protocols], {
      headers: { ...headers, ...authorization },
      ...(ca === undefined ? {} : { ca }),
    });
    const client = new TestClient(socket, encoding);
    const refused = new Promise<never>((_, reject) => {
      socket.once('unexpected-response', (request, response) => {
        request.destroy();
        reject(new UpgradeRefused(response.statusCode ?? 0, response.headers));
      });
    });
    await Promise.race([once(socket, 'open'), refused]);
    // From here on an error of the socket is followed by `close`, which is what tests look at.
    socket.on('error', () => undefined);
    return client;
  }

  async hello(): Promise<HelloInfo> {
    const frame = await this.next(([type]) => type === 'hello');
    return frame[1] as HelloInfo;
  }

  /** Sends a command under a new id; resolves with its reply, `ok` or `error`. `request('join', 'lobby')`. */
  request(type: CommandFrame[0], ...fields: readonly unknown[]): Promise<ReplyFrame> {
    const id = ++this.#lastId;
    this.sendCommand([type, id, ...fields] as unknown as CommandFrame);
    const isReply = (frame: ServerFrame) => (frame[0] === 'ok' || frame[0] === 'error') && frame[1] === id;
    return this.next(isReply) as Promise<ReplyFrame>;
  }

  /** As `request`, but resolves with the result alone and rejects for an `error`. */
  async ok<R>(type: CommandFrame[0], ...fields: readonly unknown[]): Promise<R> {
    const reply = await this.request(type, ...fields);
    if (reply[0] === 'error') throw new Error(`${type} failed: ${reply[2]}: ${reply[3]}`);
    return reply[2] as R;
  }

  /** Sends a frame as it is, id and all. */
  sendCommand(frame: CommandFrame): void {
    this.send(encodeCommand(frame, this.encoding));
  }

  /** Sends one WebSocket message: text for a string, else binary. */
  send(raw: string | Uint8Array): void {
    this.socket.send(raw);
  }

  /** The first frame that matches, received or yet to come, that no earlier `next` has returned. */
  next(matches: (frame: ServerFrame) => boolean, timeoutMs = 15_000): Promise<ServerFrame> {
    const received = this.frames.find((frame) => !this.#taken.has(frame) && matches(frame));
    if (received) {
      this.#taken.add(received);
      return Promise.resolve(received);
    }
    let waiter: Waiter;
    const arrival = new Promise<ServerFrame>((resolve) => {
      waiter = { matches, resolve };
      this.#waiters.add(waiter);
    });
    return within(timeoutMs, `a frame where ${matches}`, arrival).finally(() => this.#waiters.delete(waiter));
  }

  /** The `message` frames of a room so far, in order. */
  messages(room: string): MessageFrame[] {
    return this.frames.filter((frame): frame is MessageFrame => frame[0] === 'message' && frame[1] === room);
  }

  /** Closes with a close frame; resolves when the socket is gone. */
  close(code = 1000): Promise<Closed> {
    this.socket.close(code);
    return this.closed;
  }

  #receive(message: Buffer, isBinary: boolean): void {
    this.websocketMessages++;
    for (const frame of decodeServerFrames(isBinary ? message : message.toString())) {
      this.frames.push(frame);
      for (const waiter of this.#waiters) {
        if (!waiter.matches(frame)) continue;
        this.#taken.add(frame);
        this.#waiters.delete(waiter);
        waiter.resolve(frame);
        break;
      }
    }
  }
}
