/**
 * A little of everything that clients do, so that every metric moves: members in both encodings, publishers over WebSocket and
 * HTTP, some that drop and come back elsewhere, one that reads in fits and starts, and a few mistakes. Not a benchmark.
 */
import type { JoinResult } from '../../src/protocol/frames.ts';
import { TestClient, UpgradeRefused } from './client.ts';
import type { NodeProcess } from './node-process.ts';

const ROOMS = ['load:a', 'load:b', 'load:c'];
const WIDE_ROOM = 'load:wide';
const WIDE_PAYLOAD = 'x'.repeat(60_000);

export class Load {
  readonly #nodes: readonly NodeProcess[];
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #clients = new Set<TestClient>();
  readonly #errors: unknown[] = [];
  #isStopping = false;

  private constructor(nodes: readonly NodeProcess[]) {
    this.#nodes = nodes;
  }

  /** Resolves when it runs. */
  static async start(nodes: readonly NodeProcess[]): Promise<Load> {
    const load = new Load(nodes);
    await Promise.all(nodes.map((_, at) => load.#settle(at)));
    return load;
  }

  /** Ends it. Rejects with the first thing that went wrong meanwhile. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    for (const timer of this.#timers) clearInterval(timer);
    for (const client of this.#clients) client.socket.terminate();
    await Promise.all([...this.#clients].map(({ closed }) => closed));
    if (this.#errors.length > 0) throw this.#errors[0];
  }

  /** Everything that happens at one node. */
  async #settle(at: number): Promise<void> {
    for (const encoding of ['msgpack', 'json'] as const) {
      const member = await this.#connect(at, encoding);
      for (const room of ROOMS) await member.ok('join', room);
    }
    const publisher = await this.#connect(at);
    this.#every(20, () => publisher.ok('publish', pick(ROOMS), { text: 'hello' }));
    this.#every(50, () => publisher.ok('publish', WIDE_ROOM, WIDE_PAYLOAD));
    this.#every(300, () => this.#publishOverHttp(at));
    this.#every(300, () => publisher.request('join', 'no * in names'));
    this.#every(500, () => this.#comeAndGo(at));
    this.#every(1000, () => this.#offerNothingKnown(at));
    await this.#readInFits(at);
  }

  async #publishOverHttp(at: number): Promise<void> {
    const body = JSON.stringify({ room: pick(ROOMS), data: 'over HTTP' });
    const headers = { 'Content-Type': 'application/json' };
    await fetch(`${this.#nodes[at]!.url}/v1/publish`, { method: 'POST', headers, body });
  }

  /** Drops without a goodbye, misses a few messages and recovers them from the next node. */
  async #comeAndGo(at: number): Promise<void> {
    const room = pick(ROOMS);
    const first = await this.#connect(at);
    const { epoch, offset } = await first.ok<JoinResult>('join', room);
    await first.next(([type]) => type === 'message');
    first.socket.terminate();
    await first.closed;
    const second = await this.#connect(at + 1, 'json');
    await second.ok('join', room, { since: [epoch, offset] });
    await second.close();
  }

  async #offerNothingKnown(at: number): Promise<void> {
    try {
      const client = await TestClient.connect(this.#url(at), { protocols: ['unknown.v9'] });
      client.socket.terminate();
      throw new Error('an unknown subprotocol was accepted');
    } catch (error) {
      if (!(error instanceof UpgradeRefused)) throw error;
    }
  }

  /** Reads for a second, then not for seven: more waits than its socket may hold. */
  async #readInFits(at: number): Promise<void> {
    const reader = await this.#connect(at);
    await reader.ok('join', WIDE_ROOM);
    let second = 0;
    this.#every(1000, async () => {
      if (second++ % 8 === 0) reader.socket.resume();
      else reader.socket.pause();
    });
  }

  async #connect(at: number, encoding: 'msgpack' | 'json' = 'msgpack'): Promise<TestClient> {
    const client = await TestClient.connect(this.#url(at), { encoding });
    this.#clients.add(client);
    void client.closed.then(() => this.#clients.delete(client));
    return client;
  }

  #url(at: number): string {
    return this.#nodes[at % this.#nodes.length]!.wsUrl;
  }

  #every(milliseconds: number, work: () => Promise<unknown>): void {
    const report = (error: unknown) => {
      // What is under way when it ends is cut off.
      if (!this.#isStopping) this.#errors.push(error);
    };
    this.#timers.push(setInterval(() => void work().catch(report), milliseconds));
  }
}

function pick<T>(list: readonly T[]): T {
  return list[Math.floor(Math.random() * list.length)]!;
}
