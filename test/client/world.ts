/**
 * A world for a client: a clock that the test moves, chance that it sets, a page that it hides and shows, and sockets whose other end
 * is the test. The client speaks JSON here, so that a test reads and writes frames as they are.
 */

import type { Environment, Page, PageChange, WebSocketLike } from '../../src/client/environment.ts';
import { RoomcastClient } from '../../src/client/json.ts';
import type { ClientOptions } from '../../src/client/options.ts';
import { FakeScheduler } from '../support/fake-scheduler.ts';
import { HELLO_FACTS } from '../support/hello-facts.ts';

export type Frame = readonly [type: string, ...fields: unknown[]];

export const HELLO = {
  connection: 'node0001-1',
  node: 'node0001',
  user: null,
  heartbeatMs: 25_000,
  maxPayload: 65_536,
  version: 1,
  ...HELLO_FACTS,
};

/** The other end of a socket that the client opened. */
export class ScriptedSocket implements WebSocketLike {
  readonly url: string;
  readonly protocol: string;
  binaryType = 'blob';
  bufferedAmount = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { readonly data: unknown }) => void) | null = null;
  onerror: ((event: unknown) => void) | null = null;
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null = null;
  /** WebSocket messages that the client sent, each as its frames. */
  readonly messages: Frame[][] = [];
  /** Whether the client closed it. */
  isClosed = false;

  constructor(url: string, protocol: string) {
    this.url = url;
    this.protocol = protocol;
  }

  send(message: string | Uint8Array): void {
    this.messages.push((message as string).split('\n').map((line) => JSON.parse(line) as Frame));
  }

  close(): void {
    this.isClosed = true;
  }

  /** The link is there. */
  open(): void {
    this.onopen?.();
  }

  /** The link is there, and the node says hello. */
  accept(hello: object = {}): void {
    this.open();
    this.receive(['hello', { ...HELLO, ...hello }]);
  }

  /** All in one WebSocket message. */
  receive(...frames: readonly Frame[]): void {
    this.receiveText(frames.map((frame) => JSON.stringify(frame)).join('\n'));
  }

  receiveText(text: unknown): void {
    this.onmessage?.({ data: text });
  }

  /** The other end, or the network, ends it. */
  drop(code = 1006, reason = ''): void {
    this.onclose?.({ code, reason });
  }

  get sent(): Frame[] {
    return this.messages.flat();
  }

  /** Commands of this type, in order. */
  commands(type: string): Frame[] {
    return this.sent.filter((frame) => frame[0] === type);
  }

  /** Answers the newest command of this type, for this room where one is given. */
  answer(type: string, result: object, room?: string): void {
    this.receive(['ok', this.idOf(type, room), result]);
  }

  refuse(type: string, code: string, details?: object): void {
    this.receive(['error', this.idOf(type), code, 'no', ...(details ? [details] : [])]);
  }

  idOf(type: string, room?: string): number {
    const command = this.commands(type).findLast((frame) => room === undefined || frame[2] === room);
    if (command === undefined) throw new Error(`the client sent no ${type}: ${JSON.stringify(this.sent)}`);
    return command[1] as number;
  }
}

export class FakePage implements Page {
  isHidden = false;
  readonly #watchers = new Set<(what: PageChange) => void>();

  watch(changed: (what: PageChange) => void): () => void {
    this.#watchers.add(changed);
    return () => this.#watchers.delete(changed);
  }

  tell(what: PageChange): void {
    for (const changed of this.#watchers) changed(what);
  }

  get watchers(): number {
    return this.#watchers.size;
  }
}

export class World {
  readonly scheduler = new FakeScheduler();
  readonly page = new FakePage();
  /** Oldest first. */
  readonly sockets: ScriptedSocket[] = [];
  /** What clients told `onError`. */
  readonly errors: unknown[] = [];
  /** Thrown instead of opening a socket. */
  refusal: Error | null = null;
  readonly environment: Environment = {
    scheduler: this.scheduler,
    page: this.page,
    openSocket: (url, protocol) => {
      if (this.refusal !== null) throw this.refusal;
      const socket = new ScriptedSocket(url, protocol);
      this.sockets.push(socket);
      return socket;
    },
  };

  client(options: ClientOptions = {}, url: string | string[] = 'ws://node.test'): RoomcastClient {
    const onError = (error: unknown) => this.errors.push(error);
    return new RoomcastClient(url, { environment: this.environment, onError, fallback: false, ...options });
  }

  /** A client whose connection may be used. */
  async connected(options: ClientOptions = {}, hello: object = {}): Promise<RoomcastClient> {
    const client = this.client(options);
    client.connect();
    await this.settle();
    this.socket.accept(hello);
    await this.settle();
    return client;
  }

  /** The newest. */
  get socket(): ScriptedSocket {
    const socket = this.sockets.at(-1);
    if (socket === undefined) throw new Error('the client opened no socket');
    return socket;
  }

  /** Everything that was begun is done, except for what waits for time to pass. */
  async settle(): Promise<void> {
    do {
      await new Promise((done) => setImmediate(done));
      this.scheduler.endTurn();
    } while (this.scheduler.hasEndOfTurn);
    await new Promise((done) => setImmediate(done));
  }

  pass(milliseconds: number): Promise<void> {
    return this.scheduler.pass(milliseconds, () => this.settle());
  }

  /** The connection breaks, and the next one may be used. */
  async reconnect(hello: object = {}): Promise<ScriptedSocket> {
    this.socket.drop();
    await this.nextSocket();
    this.socket.accept(hello);
    await this.settle();
    return this.socket;
  }

  /** Lets time pass until the client opens the next socket. */
  async nextSocket(): Promise<ScriptedSocket> {
    const before = this.sockets.length;
    await this.settle();
    for (let i = 0; i < 1000 && this.sockets.length === before; i++) await this.pass(100);
    if (this.sockets.length === before) throw new Error('the client opened no further socket');
    return this.socket;
  }
}

/** Whether a promise has settled, and how. */
export function outcome<T>(promise: Promise<T>): { value?: T; error?: unknown } {
  const seen: { value?: T; error?: unknown } = {};
  promise.then(
    (value) => {
      seen.value = value;
    },
    (error) => {
      seen.error = error;
    },
  );
  return seen;
}
