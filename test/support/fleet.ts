/** Many clients in many rooms that all publish and read, what became of each publish, and what the rooms hold in the end. */
import { ClosedError, QueueFullError, RefusedError, UnknownOutcomeError } from '../../src/client/errors.ts';
import { RoomcastClient } from '../../src/client/node.ts';
import type { ClientOptions } from '../../src/client/options.ts';
import type { Message } from '../../src/client/room-events.ts';
import type { MemberLog } from './member-log.ts';
import type { Random } from './random.ts';
import { type Acknowledged, ReturningClient } from './returning-client.ts';
import { waitFor } from './wait.ts';

export interface FleetOptions {
  readonly urls: readonly string[];
  readonly clients: number;
  readonly rooms: readonly string[];
  /** How many rooms each client is in. */
  readonly roomsOfEach: number;
  readonly random: Random;
  readonly client: ClientOptions;
}

/** `given up`: surely not stored, by the will of who published. */
export type Outcome = 'acknowledged' | 'refused' | 'unknown' | 'given up';

const TICK_MS = 20;
/** Publishes of one client that have not settled: with more, it waits. */
const MAX_UNSETTLED = 200;
const JSON_EVERY = 8;
/** Shares of what is published. */
const ABORTED = 0.03;
const REFUSED = 0.01;
const LARGE = 0.02;
const LARGE_TEXT = 'x'.repeat(8_000);
const ABORTED_WITHIN_MS = 400;
const NO_ROOM = 'no * in names';
const PAGE = 1_000;

export class Fleet {
  readonly acknowledged: Acknowledged[] = [];
  /** Of every publish that has settled, by its number. */
  readonly outcomes = new Map<number, Outcome>();
  readonly #options: FleetOptions;
  /** Those that are closed too. */
  readonly #all: ReturningClient[] = [];
  /** Those that are not closed, with their rooms. */
  readonly #present = new Map<ReturningClient, readonly string[]>();
  readonly #unsettled = new Set<number>();
  readonly #failures: unknown[] = [];
  #published = 0;
  #timer: NodeJS.Timeout | null = null;

  private constructor(options: FleetOptions) {
    this.#options = options;
  }

  /** Resolves when all are in all of their rooms. */
  static async launch(options: FleetOptions): Promise<Fleet> {
    const fleet = new Fleet(options);
    await Promise.all(Array.from({ length: options.clients }, () => fleet.#add()));
    return fleet;
  }

  get clients(): readonly ReturningClient[] {
    return [...this.#present.keys()];
  }

  get published(): number {
    return this.#published;
  }

  /** What became of the publishes, and how often clients connected. */
  words(): string {
    const outcomes = (['acknowledged', 'refused', 'unknown', 'given up'] as const).map(
      (outcome) => `${outcome} ${this.count(outcome)}`,
    );
    const connections = this.#all.reduce((sum, client) => sum + client.connections, 0);
    return `clients ${this.#all.length}, connections ${connections}, published ${this.#published}: ${outcomes.join(', ')}`;
  }

  logs(room: string): MemberLog[] {
    return this.#all.flatMap(({ logs }) => logs.get(room) ?? []);
  }

  count(outcome: Outcome): number {
    return [...this.outcomes.values()].filter((one) => one === outcome).length;
  }

  /** Has random clients publish so many messages a second, until `settle`. */
  publish(perSecond: number): void {
    const beganAtMs = performance.now();
    let sent = 0;
    this.#timer = setInterval(() => {
      const due = Math.floor(((performance.now() - beganAtMs) / 1000) * perSecond);
      for (; sent < due; sent++) this.#publishOne();
    }, TICK_MS);
  }

  /** A client closes with all that it has under way, and another one comes in its place. */
  async replaceOne(): Promise<void> {
    const { random } = this.#options;
    const client = random.pick(this.clients);
    const rooms = this.#present.get(client)!;
    this.#present.delete(client);
    for (const room of rooms) client.leave(room);
    await client.close();
    if (client.client.pending > 0)
      this.#failures.push(new Error(`${client.name} closed with publishes under way`));
    void this.#add().catch((error: unknown) => this.#failures.push(error));
  }

  /** A client leaves a room and joins it at once. */
  rejoinOne(): void {
    const { random } = this.#options;
    const client = random.pick(this.clients);
    const room = random.pick(this.#present.get(client)!);
    client.leave(room);
    void client.join(room).catch((error: unknown) => this.#failures.push(error));
  }

  /** Ends the load. Resolves when every publish has settled, and every member has what was published. */
  async settle(timeoutMs: number): Promise<void> {
    if (this.#timer) clearInterval(this.#timer);
    await waitFor(() => this.#unsettled.size === 0, { timeoutMs, for: 'every publish to settle' });
    for (const room of this.#options.rooms) await this.#catchUp(room, timeoutMs);
    const odd = this.#all.flatMap(({ errors }) => errors).find((error) => !(error instanceof RefusedError));
    if (odd !== undefined) this.#failures.push(odd);
    if (this.#failures.length > 0) throw this.#failures[0];
  }

  /**
   * What the rooms hold, against how publishes settled: no message twice, each acknowledged one in its place, none that was refused or
   * given up. Returns what is wrong.
   */
  async audit(url: string): Promise<string[]> {
    const reader = new RoomcastClient(url);
    const faults: string[] = [];
    const places = new Map<number, string>();
    for (const room of this.#options.rooms) {
      for (const { offset, data } of await everything(reader, room)) {
        const payload = numberOf(data);
        const place = `${room}:${offset}`;
        const outcome = this.outcomes.get(payload);
        if (places.has(payload))
          faults.push(`message ${payload} is stored at ${places.get(payload)} and ${place}`);
        if (outcome !== 'acknowledged' && outcome !== 'unknown')
          faults.push(`message ${payload} is stored at ${place} and was settled as ${outcome}`);
        places.set(payload, place);
      }
    }
    for (const { room, offset, payload } of this.acknowledged) {
      const place = places.get(payload);
      if (place !== `${room}:${offset}`)
        faults.push(`message ${payload} was acknowledged at ${room}:${offset} and is stored at ${place}`);
    }
    reader.close();
    return faults;
  }

  async close(): Promise<void> {
    if (this.#timer) clearInterval(this.#timer);
    await Promise.all(this.clients.map((client) => client.close()));
  }

  async #add(): Promise<void> {
    const { urls, random, rooms, roomsOfEach, client: options } = this.#options;
    const number = this.#all.length;
    const client = new ReturningClient({
      name: `client ${number}`,
      urls,
      first: number,
      encoding: number % JSON_EVERY === 0 ? 'json' : 'msgpack',
      random: random.next,
      client: options,
    });
    this.#all.push(client);
    const chosen = Array.from(
      { length: roomsOfEach },
      (_, i) => rooms[(number * roomsOfEach + i) % rooms.length]!,
    );
    this.#present.set(client, chosen);
    await Promise.all(chosen.map((room) => client.join(room)));
  }

  #publishOne(): void {
    const { random } = this.#options;
    const client = random.pick(this.clients);
    if (client.client.pending >= MAX_UNSETTLED) return;
    const chance = random.next();
    if (chance < REFUSED) void this.#say(client, NO_ROOM);
    else if (chance < REFUSED + ABORTED) {
      const abort = new AbortController();
      setTimeout(() => abort.abort(), random.whole(0, ABORTED_WITHIN_MS));
      void this.#say(client, random.pick(this.#present.get(client)!), '', abort.signal);
    } else {
      const text = random.next() < LARGE ? LARGE_TEXT : '';
      void this.#say(client, random.pick(this.#present.get(client)!), text);
    }
  }

  async #say(
    client: ReturningClient,
    room: string,
    text = '',
    abort?: AbortSignal,
  ): Promise<Acknowledged | null> {
    const payload = ++this.#published;
    this.#unsettled.add(payload);
    try {
      const message = await client.publish(room, text === '' ? payload : [payload, text], abort && { abort });
      this.acknowledged.push(message);
      this.outcomes.set(payload, 'acknowledged');
      return message;
    } catch (error) {
      const outcome = outcomeOf(error, abort);
      if (outcome === null) this.#failures.push(error);
      else this.outcomes.set(payload, outcome);
      return null;
    } finally {
      this.#unsettled.delete(payload);
    }
  }

  /** Sends one more message and waits until every member has it. The checker says better than a timeout what is missing. */
  async #catchUp(room: string, timeoutMs: number): Promise<void> {
    const message = await this.#say(this.clients[0]!, room);
    if (message === null) throw new Error(`the last message of ${room} was not acknowledged`);
    const members = this.clients.filter((client) => this.#present.get(client)!.includes(room));
    const isThere = ({ position }: MemberLog) =>
      position?.[0] === message.epoch && position[1] >= message.offset;
    await waitFor(() => members.every((member) => isThere(member.log(room))), { timeoutMs }).catch(() => {
      for (const { name, client } of members.filter((member) => !isThere(member.log(room)))) {
        console.error(`${name} is not at ${message.epoch}:${message.offset} of ${room}:`, client.status);
      }
    });
  }
}

function outcomeOf(error: unknown, abort: AbortSignal | undefined): Outcome | null {
  if (error instanceof RefusedError) return 'refused';
  if (error instanceof UnknownOutcomeError) return 'unknown';
  if (error instanceof ClosedError || error instanceof QueueFullError) return 'given up';
  return abort?.aborted && error === abort.reason ? 'given up' : null;
}

async function everything(reader: RoomcastClient, room: string): Promise<Message[]> {
  const all: Message[] = [];
  const { position } = await reader.history(room, { limit: 1 });
  for (;;) {
    const since = [position[0], all.at(-1)?.offset ?? 0] as const;
    const { messages } = await reader.history(room, { since, limit: PAGE });
    if (messages.length === 0) return all;
    all.push(...messages);
  }
}

function numberOf(data: unknown): number {
  return Number(Array.isArray(data) ? data[0] : data);
}
