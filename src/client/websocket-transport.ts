import type { Chunk } from './codec.ts';
import type { Environment, WebSocketLike } from './environment.ts';
import { messageOf } from './errors.ts';
import type { Link, LinkEvents, Transport } from './transport.ts';

const FAILED = 1006;
const NORMAL = 1000;

export function webSocketTransport(environment: Environment): Transport {
  return {
    name: 'websocket',
    open(url, protocol, _token, events) {
      const link = new WebSocketLink(events);
      void link.open(environment, url, protocol);
      return link;
    },
  };
}

class WebSocketLink implements Link {
  readonly #events: LinkEvents;
  #socket: WebSocketLike | null = null;
  #isOver = false;

  constructor(events: LinkEvents) {
    this.#events = events;
  }

  async open(environment: Environment, url: string, protocol: string): Promise<void> {
    const failed = (reason: string) => environment.scheduler.atEndOfTurn(() => this.#closed(FAILED, reason));
    try {
      this.#attach(await environment.openSocket(url, protocol), failed);
    } catch (error) {
      failed(messageOf(error));
    }
  }

  get bufferedBytes(): number {
    return this.#socket?.bufferedAmount ?? 0;
  }

  send(message: Chunk): void {
    if (!this.#isOver) this.#socket?.send(message);
  }

  abandon(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const socket = this.#socket;
    if (socket === null) return;
    // `onerror` stays: the socket of Node's `ws` throws where nobody listens for what abandoning it may bring.
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(NORMAL);
  }

  #attach(socket: WebSocketLike, failed: (reason: string) => void): void {
    // Node's sockets say here why there is no connection (`connect ECONNREFUSED …`); a page may not know. Either way it has failed:
    // `onclose` need not follow, as in Node 22 where the upgrade was refused.
    let problem = '';
    socket.onerror = (event) => {
      problem = (event as { readonly message?: string } | undefined)?.message ?? '';
      failed(problem);
    };
    // Abandoned while the WebSocket class was being found.
    if (this.#isOver) return socket.close(NORMAL);
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => this.#events.opened();
    socket.onmessage = ({ data }) => this.#events.message(data);
    socket.onclose = ({ code, reason }) => this.#closed(code, reason || problem);
  }

  #closed(code: number, reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#events.closed(code, reason);
  }
}
