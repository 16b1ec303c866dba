/**
 * A TCP proxy that does to connections what networks do: it makes them deaf (open, and nothing comes back on them), holds
 * everything up as a cut cable does, or leads elsewhere from one moment to the next.
 */
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
  #targetPort: number;
  #isCut = false;

  private constructor(targetPort: number) {
    this.#targetPort = targetPort;
    this.#listener = createServer((client) => this.#open(client, connect(this.#targetPort, '127.0.0.1')));
  }

  static async start(targetPort: number): Promise<DeafeningProxy> {
    const proxy = new DeafeningProxy(targetPort);
    await new Promise<void>((resolve) => proxy.#listener.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get port(): number {
    return (this.#listener.address() as { port: number }).port;
  }

  /** How many are open. */
  get connections(): number {
    return this.#passages.size;
  }

  /** Makes the open connections deaf whose client has said that. New ones are not. Returns how many. */
  deafen(said: string): number {
    const chosen = [...this.#passages].filter(({ sent }) => sent.includes(said));
    for (const passage of chosen) passage.isDeaf = true;
    return chosen.length;
  }

  /** Holds up what the server sends on the open connections whose client has said that. Returns what lets it pass. */
  holdUp(said: string): () => void {
    const chosen = [...this.#passages].filter(({ sent }) => sent.includes(said));
    for (const { server } of chosen) server.pause();
    return () => {
      for (const { server } of chosen) server.resume();
    };
  }

  /** Nothing passes any more, either way, and no connection is told. What is sent meanwhile arrives after `heal`. */
  cut(): void {
    this.#isCut = true;
    for (const { client, server } of this.#passages) {
      client.pause();
      server.pause();
    }
  }

  heal(): void {
    this.#isCut = false;
    for (const { client, server } of this.#passages) {
      client.resume();
      server.resume();
    }
  }

  /** Ends all connections; new ones lead to this port. */
  lead(targetPort: number): void {
    this.#targetPort = targetPort;
    this.#drop();
  }

  dispose(): void {
    this.#listener.close();
    this.#drop();
  }

  #drop(): void {
    for (const { client, server } of this.#passages) {
      client.destroy();
      server.destroy();
    }
  }

  #open(client: Socket, server: Socket): void {
    const passage: Passage = { client, server, sent: '', isDeaf: false };
    this.#passages.add(passage);
    client.on('data', (data) => {
      if (passage.sent.length < 10_000)
        passage.sent = (passage.sent + data.toString('latin1')).slice(0, 10_000);
      server.write(data);
    });
    server.on('data', (data) => {
      if (!passage.isDeaf) client.write(data);
    });
    if (this.#isCut) {
      client.pause();
      server.pause();
    }
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
