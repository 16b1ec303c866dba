/** Sockets that lead to a node in this process, and that a test cuts: no port, and the client and the node are the real ones. */
import { type Environment, systemEnvironment, type WebSocketLike } from '../../src/client/environment.ts';
import { SUBPROTOCOL } from '../../src/protocol/subprotocol.ts';
import type { Device, LocalNode } from '../support/local-node.ts';

class LocalSocket implements WebSocketLike {
  binaryType = 'blob';
  readonly bufferedAmount = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { readonly data: unknown }) => void) | null = null;
  onerror: ((event: unknown) => void) | null = null;
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null = null;
  readonly #device: Device;
  readonly #node: LocalNode;
  readonly #gone: () => void;
  #isOpen = true;

  constructor(node: LocalNode, protocol: string, user: string | null, gone: () => void) {
    this.#node = node;
    this.#gone = gone;
    this.#device = node.device(user, protocol === SUBPROTOCOL.json ? 'json' : 'msgpack');
    const { socket, connection } = this.#device;
    socket.send = (message) => {
      // Copied: of a Buffer, `slice` would be a view.
      const data = typeof message === 'string' ? message : new Uint8Array(message).buffer;
      setImmediate(() => this.#isOpen && this.onmessage?.({ data }));
      return 'sent';
    };
    socket.end = ({ code, reason }) => this.end(code, reason);
    setImmediate(() => {
      if (!this.#isOpen) return;
      this.onopen?.();
      connection.welcome();
    });
  }

  send(message: string | Uint8Array): void {
    const bytes = typeof message === 'string' ? new TextEncoder().encode(message) : message.slice();
    setImmediate(() => this.#isOpen && this.#device.connection.receive(bytes));
  }

  close(): void {
    this.#leave();
  }

  /** What is on its way, either way, is lost. */
  end(code: number, reason = ''): void {
    if (!this.#isOpen) return;
    this.#leave();
    setImmediate(() => this.onclose?.({ code, reason }));
  }

  #leave(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#gone();
    const { connection } = this.#device;
    connection.closed();
    this.#node.node.disconnected(connection);
  }
}

export class LocalLinks {
  readonly environment: Environment;
  readonly #open = new Set<LocalSocket>();
  /** Connections so far. */
  opened = 0;

  /** `user`: whose connections these are; null: anonymous ones. */
  constructor(node: LocalNode, user: string | null) {
    this.environment = {
      ...systemEnvironment(undefined, undefined),
      openSocket: (_url, protocol) => {
        this.opened++;
        const socket: LocalSocket = new LocalSocket(node, protocol, user, () => this.#open.delete(socket));
        this.#open.add(socket);
        return socket;
      },
    };
  }

  cut(code = 1006): void {
    for (const socket of [...this.#open]) socket.end(code);
  }
}
