/** One driver process: many connections, told by its parent what to do. */
import { BenchConnection, type Target } from './connection.ts';
import type { Dialect } from './dialect.ts';
import { Load, type LoadPlan, Publisher } from './load.ts';
import { plainDialect } from './plain-dialect.ts';
import { roomcastDialect } from './roomcast-dialect.ts';
import { Tally, type TallyData } from './tally.ts';

export type DialectName = 'plain' | 'roomcast';

/** This process's part of a room. */
export interface RoomPlan {
  readonly name: string;
  readonly index: number;
  readonly members: number;
  /** Indexes, within the room, of those of its members here that publish. */
  readonly publishers: readonly number[];
}

export interface WorkerPlan {
  readonly target: Target;
  readonly dialect: DialectName;
  readonly payloadBytes: number;
  readonly rooms: readonly RoomPlan[];
}

/** What a phase came to. */
export interface WorkerReport extends TallyData {
  readonly publishedByRoom: readonly (readonly [room: number, published: number])[];
  /** User and system time of this process since `start`, and the time that went by. */
  readonly cpuUs: number;
  readonly wallUs: number;
}

/** What a parent can ask for. `stop` ends the load and waits for what is in flight; `report` may be asked at any time. */
export type WorkerCall =
  | { readonly call: 'open'; readonly plan: WorkerPlan }
  | { readonly call: 'start'; readonly load: LoadPlan }
  | { readonly call: 'stop'; readonly patienceMs: number }
  | { readonly call: 'report' }
  | { readonly call: 'close' };

export type WorkerAnswer = { readonly ok: WorkerReport | null } | { readonly failed: string };

/** Connections that are being opened at the same time. */
const OPENING = 64;

class Worker {
  readonly #tally = new Tally();
  #connections: BenchConnection[] = [];
  #publishers: Publisher[] = [];
  #load: Load | null = null;
  #cpuAtStart = process.cpuUsage();
  #startedMs = 0;

  async handle(message: WorkerCall): Promise<WorkerReport | null> {
    switch (message.call) {
      case 'open':
        await this.#open(message.plan);
        return null;
      case 'start':
        this.#start(message.load);
        return null;
      case 'stop':
        await this.#load?.stop(message.patienceMs);
        return this.#report();
      case 'report':
        return this.#report();
      case 'close':
        for (const connection of this.#connections) connection.close();
        return null;
    }
  }

  async #open({ target, dialect: name, payloadBytes, rooms }: WorkerPlan): Promise<void> {
    const dialect: Dialect = name === 'roomcast' ? roomcastDialect() : plainDialect(payloadBytes);
    const opening: (() => Promise<void>)[] = [];
    const chunkRead = (): void => this.#load?.chunkRead();
    for (const room of rooms) {
      for (let member = 0; member < room.members; member++) {
        const publisher = room.publishers[member] ?? -1;
        const plan = { roomName: room.name, room: room.index, publisher };
        const connection = new BenchConnection(plan, dialect, this.#tally);
        this.#connections.push(connection);
        if (publisher >= 0)
          this.#publishers.push(new Publisher(connection, dialect, room.name, payloadBytes));
        opening.push(() => connection.open(target, room.name, chunkRead));
      }
    }
    await inTurn(opening, OPENING);
  }

  #start(plan: LoadPlan): void {
    this.#tally.reset();
    for (const publisher of this.#publishers) publisher.published = 0;
    const load = new Load(this.#publishers, plan);
    this.#load = load;
    this.#tally.returned = () => load.returned();
    this.#cpuAtStart = process.cpuUsage();
    this.#startedMs = performance.now();
    load.start();
  }

  #report(): WorkerReport {
    const { user, system } = process.cpuUsage(this.#cpuAtStart);
    const byRoom = new Map<number, number>();
    for (const { room, published } of this.#publishers) byRoom.set(room, (byRoom.get(room) ?? 0) + published);
    const wallUs = (performance.now() - this.#startedMs) * 1000;
    return { ...this.#tally.data(), publishedByRoom: [...byRoom], cpuUs: user + system, wallUs };
  }
}

/** Runs all, at most `width` at a time. Rejects with the first failure. */
async function inTurn(tasks: readonly (() => Promise<void>)[], width: number): Promise<void> {
  let next = 0;
  const run = async (): Promise<void> => {
    while (next < tasks.length) await tasks[next++]!();
  };
  await Promise.all(Array.from({ length: width }, run));
}

const worker = new Worker();

process.on('message', (message: WorkerCall) => {
  const answer = (result: WorkerAnswer): void => {
    process.send?.(result);
  };
  worker.handle(message).then(
    (ok) => answer({ ok }),
    (error: unknown) => answer({ failed: error instanceof Error ? error.message : String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
