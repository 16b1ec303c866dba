/** Sends the inputs of a run at a rate, each through what takes it, and keeps the books. */
import { Random } from '../../test/support/random.ts';
import { converse } from './converse.ts';
import { type HostileInput, hostileInput } from './inputs.ts';
import { Ledger } from './ledger.ts';
import { Peer } from './peer.ts';
import type { HostileTokens } from './tokens.ts';
import type { Target } from './wire.ts';

export interface DriverOptions {
  readonly target: Target;
  readonly seed: number;
  readonly tokens: HostileTokens;
  /** Inputs a second; null: as fast as the node takes them. */
  readonly perSecond: number | null;
}

/** WebSockets of each encoding, and requests, at a time. */
const PEERS = 16;
const REQUESTS = 96;

export class HostileDriver {
  readonly ledger = new Ledger();
  readonly #options: DriverOptions;
  readonly #peers: Readonly<Record<'msgpack' | 'json', Peer[]>>;
  readonly #all: readonly Peer[];
  /** Being dealt with now, by number. */
  readonly #underWay = new Map<number, HostileInput>();
  #requests = 0;
  #failure: Error | null = null;
  #changed: (() => void) | null = null;

  constructor(options: DriverOptions) {
    this.#options = options;
    const make = (encoding: 'msgpack' | 'json') =>
      Array.from(
        { length: PEERS },
        (_, i) => new Peer(options.target, encoding, this.ledger, new Random(options.seed + i)),
      );
    this.#peers = { msgpack: make('msgpack'), json: make('json') };
    this.#all = [...this.#peers.msgpack, ...this.#peers.json];
  }

  /** Sends the inputs from number `first` on. Resolves when the node has dealt with all, and all sockets are closed. */
  async run(first: number, count: number): Promise<void> {
    const { seed, tokens, perSecond } = this.#options;
    const beganAtMs = performance.now();
    for (let sent = 0; sent < count; sent++) {
      const input = hostileInput(seed, first + sent, tokens);
      await this.#until(() => this.#hasRoomFor(input));
      if (perSecond !== null) await due(beganAtMs, (1000 * sent) / perSecond);
      this.#send(input);
    }
    await this.#until(() => this.#underWay.size === 0);
    await Promise.all(this.#all.map((peer) => peer.close()));
  }

  #hasRoomFor({ via }: HostileInput): boolean {
    return via === 'http' ? this.#requests < REQUESTS : this.#peers[via].length > 0;
  }

  #send(input: HostileInput): void {
    this.#underWay.set(input.number, input);
    this.#deliver(input)
      .then(() => void this.#underWay.delete(input.number))
      .catch((error: unknown) => this.#fail(error))
      .finally(() => this.#changed?.());
  }

  async #deliver(input: HostileInput): Promise<void> {
    if (input.via === 'http') {
      this.#requests++;
      await converse(this.#options.target, input, this.ledger);
      this.#requests--;
      return;
    }
    const peers = this.#peers[input.via];
    const peer = peers.pop()!;
    await peer.send(input);
    peers.push(peer);
  }

  #fail(cause: unknown): void {
    const numbers = [...this.#underWay.keys()].slice(0, 20).join(', ');
    const why = cause instanceof Error ? cause.message : String(cause);
    this.#failure ??= new Error(
      `${why}; under way were the inputs ${numbers} of seed ${this.#options.seed}`,
      { cause },
    );
  }

  async #until(isSo: () => boolean): Promise<void> {
    for (;;) {
      if (this.#failure !== null) throw this.#failure;
      if (isSo()) return;
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
      this.#changed = null;
    }
  }
}

/** Resolves when `atMs` has passed since `beganAtMs`. */
async function due(beganAtMs: number, atMs: number): Promise<void> {
  const leftMs = beganAtMs + atMs - performance.now();
  if (leftMs > 1) await new Promise((resolve) => setTimeout(resolve, leftMs));
}
