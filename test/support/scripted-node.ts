/** A node that says what a test tells it to: the demo page and a WebSocket on a real server, and nothing behind them. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { waitFor } from './wait.ts';

type Frame = readonly [type: string, ...fields: unknown[]];

const DEMO = '../../src/transport/http/demo/';
/** The page speaks JSON here, so that a test can: it gets the JSON client under the name of the other. */
const FILES: Readonly<Record<string, readonly [type: string, path: string]>> = {
  '/': ['text/html', `${DEMO}index.html`],
  '/chat.js': ['text/javascript', `${DEMO}chat.js`],
  '/chat.css': ['text/css', `${DEMO}chat.css`],
  '/client.js': ['text/javascript', '../../dist/client-json.js'],
};

export class ScriptedNode {
  /** What the page sent, in order. */
  readonly commands: Frame[] = [];
  /** The result of the reply to each command, by its type; what is not here is answered `{}`. */
  readonly results: Record<string, unknown> = {};
  /** Connections that the page has opened so far. */
  opened = 0;
  readonly #server: Server;
  readonly #sockets: WebSocketServer;
  #socket: WebSocket | null = null;

  private constructor() {
    this.#server = createServer(({ url = '/' }, response) => {
      const [type, path] = FILES[url.split('?')[0]!]!;
      response.writeHead(200, { 'Content-Type': type }).end(readFileSync(new URL(path, import.meta.url)));
    });
    this.#sockets = new WebSocketServer({ server: this.#server, handleProtocols: () => 'roomcast.v1.json' });
    this.#sockets.on('connection', (socket) => this.#take(socket));
  }

  static async start(): Promise<ScriptedNode> {
    const made = new ScriptedNode();
    await once(made.#server.listen(0, '127.0.0.1'), 'listening');
    return made;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Sends frames in one WebSocket message. */
  say(...frames: readonly Frame[]): void {
    this.#socket!.send(frames.map((frame) => JSON.stringify(frame)).join('\n'));
  }

  /** Resolves with the first command of this type, of those to come too. */
  command(type: string): Promise<Frame> {
    return waitFor(() => this.commands.find((frame) => frame[0] === type), { timeoutMs: 20_000 });
  }

  close(code: number, reason: string): void {
    this.#socket!.close(code, reason);
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets.clients) socket.terminate();
    this.#sockets.close();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #take(socket: WebSocket): void {
    this.opened++;
    this.#socket = socket;
    socket.on('message', (message) => {
      for (const line of message.toString().split('\n')) this.#answer(JSON.parse(line) as Frame);
    });
  }

  #answer(frame: Frame): void {
    this.commands.push(frame);
    const [type, id] = frame;
    if (id !== 0 && this.results[type] !== null) this.say(['ok', id, this.results[type] ?? {}]);
  }
}
