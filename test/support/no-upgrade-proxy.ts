/** A proxy such as some companies have: it passes requests on, and no upgrades. */
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

export class NoUpgradeProxy {
  /** Upgrades that it refused. */
  refused = 0;
  readonly url: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    server.on('upgrade', (_request, socket) => {
      this.refused++;
      socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n');
    });
  }

  /** `target`: the URL of a node. */
  static async start(target: string): Promise<NoUpgradeProxy> {
    const { hostname, port } = new URL(target);
    const server = createServer((asked, answer) => {
      const { method, url: path, headers } = asked;
      const passed = request({ hostname, port, method, path, headers }, (got) => {
        answer.writeHead(got.statusCode!, got.headers);
        got.on('error', () => answer.destroy());
        got.pipe(answer);
      });
      passed.on('error', () => answer.destroy());
      answer.on('close', () => passed.destroy());
      asked.pipe(passed);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new NoUpgradeProxy(server);
  }

  /** Cuts every connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  stop(): void {
    this.#server.close();
    this.cut();
  }
}
