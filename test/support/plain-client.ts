/** A client over any class of WebSocket with the standard's API: it keeps every frame, and hides nothing. */
import { decodeServerFrames, encodeCommand } from '../../src/protocol/client-codec.ts';
import type { CommandFrame, MessageFrame, ReplyFrame, ServerFrame } from '../../src/protocol/frames.ts';
import { type Encoding, SUBPROTOCOL } from '../../src/protocol/subprotocol.ts';
import type { TestCloseEvent, TestWebSocket, TestWebSocketClass } from '../../src/testing/index.ts';

export interface PlainClosed {
  readonly code: number;
  readonly reason: string;
  readonly wasClean: boolean;
}

export class PlainClient {
  readonly socket: TestWebSocket;
  readonly frames: ServerFrame[] = [];
  /** Kinds of events, in order. */
  readonly events: string[] = [];
  readonly opened: Promise<void>;
  readonly closed: Promise<PlainClosed>;
  readonly #encoding: Encoding;
  readonly #replies = new Map<number, (reply: ReplyFrame) => void>();
  #lastId = 0;

  constructor(WebSocket: TestWebSocketClass, url: string, encoding: Encoding = 'msgpack') {
    this.#encoding = encoding;
    this.socket = new WebSocket(url, SUBPROTOCOL[encoding]);
    this.socket.binaryType = 'arraybuffer';
    for (const type of ['open', 'error', 'close']) {
      this.socket.addEventListener(type, () => this.events.push(type));
    }
    this.socket.onmessage = ({ data }: { data: string | ArrayBuffer }) => this.#receive(data);
    this.opened = new Promise((resolve) => this.socket.addEventListener('open', () => resolve()));
    this.closed = new Promise((resolve) => {
      this.socket.onclose = ({ code, reason, wasClean }: TestCloseEvent) =>
        resolve({ code, reason, wasClean });
    });
  }

  /** Sends a command under a new id; resolves with its reply. */
  request(type: CommandFrame[0], ...fields: readonly unknown[]): Promise<ReplyFrame> {
    const id = ++this.#lastId;
    this.socket.send(encodeCommand([type, id, ...fields] as unknown as CommandFrame, this.#encoding));
    return new Promise((resolve) => this.#replies.set(id, resolve));
  }

  /** The payloads of a room's messages, in order. */
  told(room: string): unknown[] {
    const messages = this.frames.filter((frame): frame is MessageFrame => frame[0] === 'message');
    return messages.filter((frame) => frame[1] === room).map((frame) => frame[5]);
  }

  /** Frames of a type. */
  of(type: ServerFrame[0]): ServerFrame[] {
    return this.frames.filter((frame) => frame[0] === type);
  }

  #receive(data: string | ArrayBuffer): void {
    for (const frame of decodeServerFrames(data)) {
      this.frames.push(frame);
      if (frame[0] === 'ok' || frame[0] === 'error') this.#replies.get(frame[1])?.(frame);
    }
  }
}
