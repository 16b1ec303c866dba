/** A TCP proxy whose connections can be made deaf: they stay open, and nothing comes back on them. */
import { connect, createServer, type Server, type Socket } from 'node:net';

interface Passage {
  readonly client: Socket;
  readonly server: Socket;
  /** What the client has sent first, to tell connections apart by. */
  sent: string;
  isDeaf: boolean;
}

export class DeafeningProxy {
  readonly #listener: Server;
  readonly #passages = new Set<Passage>();

  private constructor(targetPort: number) {
    this.#listener = createServer((client) => this.#open(client, connect(targetPort, '127.0.0.1')));
  }

  static async start(targetPort: number): Promise<DeafeningProxy> {
    const proxy = new DeafeningProxy(targetPort);
    await new Promise<void>((resolve) => proxy.#listener.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get port(): number {
    return (this.#listener.address() as { port: number }).port;
  }

  /** Makes the open connections deaf whose client has said that. New ones are not. Returns how many. */
  deafen(said: string): number {
    const chosen = [...this.#passages].filter(({ sent }) => sent.includes(said));
    for (const passage of chosen) passage.isDeaf = true;
    return chosen.length;
  }

  dispose(): void {
    this.#listener.close();
    for (const { client, server } of this.#passages) {
      client.destroy();
      server.destroy();
    }
  }

  #open(client: Socket, server: Socket): void {
    const passage: Passage = { client, server, sent: '', isDeaf: false };
    this.#passages.add(passage);
    client.on('data', (data) => {
      passage.sent = (passage.sent + data.toString('latin1')).slice(0, 10_000);
      server.write(data);
    });
    server.on('data', (data) => {
      if (!passage.isDeaf) client.write(data);
    });
    for (const socket of [client, server]) {
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        client.destroy();
        server.destroy();
        this.#passages.delete(passage);
      });
    }
  }
}
