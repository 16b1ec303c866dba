/** A TCP proxy in front of a node, whose links end in the ways in which networks end them: with a word, in the middle of a frame, or without. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Random } from './random.ts';

export type Cut =
  /** Both ends get a reset. */
  | 'reset'
  /** Both ends get what was on its way, and the end. */
  | 'end'
  /** The client gets a few bytes more of the next data, then the end: a frame torn in two. */
  | 'torn'
  /** Nothing passes any more and nobody is told: either way, to the client, to the node. */
  | 'silent'
  | 'deaf'
  | 'mute';

export const CUTS: readonly Cut[] = ['reset', 'end', 'torn', 'silent', 'deaf', 'mute'];
/** Of the data in which a frame is torn. */
const TORN_BYTES = 300;

interface Passage {
  readonly client: Socket;
  readonly node: Socket;
  hearsClient: boolean;
  hearsNode: boolean;
  /** Bytes that the client still gets. */
  left: number;
}

export class CuttingProxy {
  readonly #listener: Server;
  readonly #passages = new Set<Passage>();
  readonly #random: Random;

  private constructor(nodePort: number, random: Random) {
    this.#random = random;
    this.#listener = createServer((client) => this.#open(client, connect(nodePort, '127.0.0.1')));
  }

  static async start(nodePort: number, random: Random): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(nodePort, random);
    await new Promise<void>((resolve) => proxy.#listener.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#listener.address() as { port: number }).port}/ws`;
  }

  /** Cuts up to that many links that are whole, each in a way of its own. Returns how each was cut. */
  cut(most: number): Cut[] {
    const whole = [...this.#passages].filter(({ hearsClient, hearsNode, left }) => {
      return hearsClient && hearsNode && left === Number.POSITIVE_INFINITY;
    });
    const cuts: Cut[] = [];
    for (let i = 0; i < most && whole.length > 0; i++) {
      const [passage] = whole.splice(this.#random.whole(0, whole.length - 1), 1);
      const cut = this.#random.pick(CUTS);
      this.#cut(passage!, cut);
      cuts.push(cut);
    }
    return cuts;
  }

  dispose(): void {
    this.#listener.close();
    for (const { client, node } of this.#passages) {
      client.destroy();
      node.destroy();
    }
  }

  #cut(passage: Passage, cut: Cut): void {
    const { client, node } = passage;
    if (cut === 'reset') {
      client.resetAndDestroy();
      node.resetAndDestroy();
    } else if (cut === 'end') {
      client.end();
      node.end();
    } else if (cut === 'torn') passage.left = this.#random.whole(1, TORN_BYTES);
    else {
      passage.hearsClient = cut === 'deaf';
      passage.hearsNode = cut === 'mute';
    }
  }

  #open(client: Socket, node: Socket): void {
    const passage = { client, node, hearsClient: true, hearsNode: true, left: Number.POSITIVE_INFINITY };
    this.#passages.add(passage);
    client.on('data', (data) => passage.hearsClient && node.write(data));
    node.on('data', (data) => passage.hearsNode && this.#toClient(passage, data));
    for (const socket of [client, node]) {
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        // In a silence neither end hears that the other has gone.
        if (passage.hearsClient && passage.hearsNode) {
          client.destroy();
          node.destroy();
        }
        if (client.destroyed && node.destroyed) this.#passages.delete(passage);
      });
    }
  }

  #toClient(passage: Passage, data: Buffer): void {
    const { client, node } = passage;
    client.write(data.subarray(0, passage.left));
    passage.left -= data.length;
    if (passage.left > 0) return;
    client.end();
    node.destroy();
  }
}
