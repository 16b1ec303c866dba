/** What lies between a node and Redis: bytes, in chunks that are cut anywhere. */
import { Duplex } from 'node:stream';
import type { Random } from '../../support/random.ts';
import type { RedisConnection, RedisModel } from '../redis/server.ts';
import type { Loop, Owner, Task } from './loop.ts';
import { Wire } from './wire.ts';

export interface RedisLinkParts {
  readonly loop: Loop;
  readonly random: Random;
  readonly node: Owner;
  readonly redis: Owner;
  readonly model: RedisModel;
  /** Where that is. */
  readonly host: string;
  readonly latencyMs: () => number;
  /** Why nobody takes a connection now, or null. `silent`: no answer comes either. */
  readonly refuses: () => 'refused' | 'silent' | null;
  readonly over: (link: RedisLink) => void;
}

/** Bytes that the network holds for a peer that does not read. */
const WINDOW_BYTES = 256 * 1024;

let lastNumber = 0;

export class RedisLink {
  readonly node: Owner;
  readonly socket: RedisSocket;
  /** No other link of the process has it. */
  readonly number = ++lastNumber;
  readonly #parts: RedisLinkParts;
  readonly #toRedis: Wire<Buffer>;
  readonly #toNode: Wire<Buffer>;
  #connection: RedisConnection | null = null;
  #isCut = false;

  constructor(parts: RedisLinkParts) {
    const { loop, node, redis, latencyMs } = parts;
    this.#parts = parts;
    this.node = node;
    this.socket = new RedisSocket(loop, this, parts.host);
    const received = (bytes: Buffer) => this.#connection?.received(bytes);
    this.#toRedis = new Wire({ loop, to: redis, latencyMs, arrived: received });
    this.#toRedis.drained = () => loop.after(0, () => this.socket.drained(), node);
    this.#toNode = new Wire({ loop, to: node, latencyMs, arrived: (bytes) => this.socket.arrived(bytes) });
    loop.after(latencyMs(), () => this.#knock(), redis);
  }

  /** Whether it carries a connection: both ends have it. */
  get isOpen(): boolean {
    return this.#connection?.isOpen === true && !this.#isCut;
  }

  /** The name that the node gave its connection. */
  get name(): string {
    return this.#connection?.name ?? '';
  }

  /** Whether its end at Redis is subscribed to anything. */
  get isSubscribed(): boolean {
    return this.#connection?.isSubscribed === true;
  }

  /** Whether its end at Redis is subscribed to a channel. */
  hears(channel: string): boolean {
    const { channels = new Set(), shardChannels = new Set() } = this.#connection ?? {};
    return channels.has(channel) || shardChannels.has(channel);
  }

  /** Redis forgets a subscription of it to a room. Returns its channel, or null where it has none. */
  goDeaf(pick: <T>(items: readonly T[]) => T | undefined): string | null {
    const { channels = [], shardChannels = [] } = this.#connection ?? {};
    const rooms = [...channels, ...shardChannels].filter((channel) => /:(chat|short):/.test(channel));
    const channel = pick(rooms);
    if (channel === undefined || this.#connection === null) return null;
    this.#parts.model.loseSubscription(this.#connection, channel);
    return channel;
  }

  // ---- the node's end ------------------------------------------------------------------------------------

  /** Whether the node may go on writing. */
  write(bytes: Buffer): boolean {
    // ioredis may use its buffer again.
    this.#putPieces(this.#toRedis, Buffer.from(bytes));
    return this.#toRedis.bytes < WINDOW_BYTES;
  }

  /** The node closed its socket. */
  nodeGone(): void {
    const { loop, redis, latencyMs, over } = this.#parts;
    if (!this.#isCut) loop.after(latencyMs(), () => this.#redisLearns(), redis);
    this.#isCut = true;
    over(this);
  }

  // ---- what happens to it --------------------------------------------------------------------------------

  /**
   * The link breaks: of what is on its way some bytes still arrive, up to any byte. `silent`: neither end is told, until it finds
   * out by itself.
   */
  cut(silent: boolean): void {
    if (this.#isCut) return;
    const { random, loop, node, redis } = this.#parts;
    const [toRedis, toNode] = [this.#toRedis, this.#toNode].map((wire) => prefix(wire.die(), random));
    this.#isCut = true;
    if (toRedis !== undefined && toRedis.length > 0) {
      loop.after(0, () => this.#connection?.received(toRedis), redis);
    }
    if (toNode !== undefined && toNode.length > 0) loop.after(0, () => this.socket.arrived(toNode), node);
    if (silent) {
      // A server probes its clients now and then.
      loop.after(60_000, () => this.#redisLearns(), redis);
      return;
    }
    loop.after(random.next(), () => this.#redisLearns(), redis);
    loop.after(random.next(), () => this.#nodeLearns('ECONNRESET'), node);
  }

  // ---- inside --------------------------------------------------------------------------------------------

  #knock(): void {
    const { model, loop, node, latencyMs, refuses } = this.#parts;
    if (this.#isCut) return;
    const refusal = refuses();
    if (refusal === 'silent') return;
    if (refusal === 'refused') {
      loop.after(latencyMs(), () => this.#nodeLearns('ECONNREFUSED'), node);
      return;
    }
    this.#connection = model.connect({
      send: (bytes) => this.#putPieces(this.#toNode, bytes),
      end: () => {
        if (!this.#isCut) loop.after(latencyMs(), () => this.#nodeLearns(null), node);
        this.#isCut = true;
      },
    });
    loop.after(latencyMs(), () => this.socket.opened(), node);
  }

  #putPieces(wire: Wire<Buffer>, bytes: Buffer): void {
    const { random } = this.#parts;
    if (this.#isCut) return;
    if (bytes.length < 2 || random.next() < 0.9) return wire.put(bytes, bytes.length);
    const at = random.whole(1, bytes.length - 1);
    wire.put(bytes.subarray(0, at), at);
    this.#putPieces(wire, bytes.subarray(at));
  }

  #redisLearns(): void {
    this.#connection?.closed();
    this.#connection = null;
  }

  #nodeLearns(code: string | null): void {
    this.socket.ended(code);
  }
}

/** Some of the bytes on their way, from the first on. */
function prefix(chunks: readonly Buffer[], random: Random): Buffer {
  const all = Buffer.concat(chunks);
  return random.next() < 0.5 ? Buffer.alloc(0) : all.subarray(0, random.whole(0, all.length));
}

/** The node's end, as ioredis takes a socket of Node. */
export class RedisSocket extends Duplex {
  connecting = true;
  readonly remoteAddress: string;
  readonly remotePort = 6379;
  readonly #loop: Loop;
  readonly #link: RedisLink;
  #timer: Task | null = null;
  #written: (() => void) | null = null;

  constructor(loop: Loop, link: RedisLink, host: string) {
    super({ allowHalfOpen: false });
    this.remoteAddress = host;
    this.#loop = loop;
    this.#link = link;
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  setTimeout(delayMs: number, fired?: () => void): this {
    if (this.#timer !== null) this.#loop.cancel(this.#timer);
    this.#timer = null;
    if (fired !== undefined && delayMs > 0) this.once('timeout', fired);
    if (delayMs > 0) this.#timer = this.#loop.after(delayMs, () => this.emit('timeout'));
    return this;
  }

  opened(): void {
    if (this.destroyed) return;
    this.connecting = false;
    this.emit('connect');
    this.#flush();
  }

  arrived(bytes: Buffer): void {
    if (!this.destroyed) this.push(bytes);
  }

  /** Redis took all that waited. */
  drained(): void {
    const written = this.#written;
    this.#written = null;
    written?.();
  }

  /** The link is gone: with an error, or as Redis hung up. */
  ended(code: string | null): void {
    if (this.destroyed) return;
    if (code === null) this.push(null);
    else this.destroy(Object.assign(new Error(`read ${code}`), { code }));
  }

  #held: [Buffer, () => void] | null = null;

  override _read(): void {
    // Bytes are pushed when they arrive.
  }

  override _write(bytes: Buffer, _encoding: string, written: () => void): void {
    if (this.connecting) this.#held = [bytes, written];
    else if (this.#link.write(bytes)) written();
    else this.#written = written;
  }

  override _final(written: () => void): void {
    written();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.setTimeout(0);
    this.#link.nodeGone();
    done(error);
  }

  #flush(): void {
    const held = this.#held;
    this.#held = null;
    if (held !== null) this._write(held[0], '', held[1]);
  }
}
