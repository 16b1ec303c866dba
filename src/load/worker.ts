/** One driver process: many connections, controlled by its parent. */
import { sentenceOf } from '../util/error-words.ts';
import { nowUs } from './clock.ts';
import { LoadConnection, type Target } from './connection.ts';
import type { Dialect, DialectChoice, DialectModule } from './dialect.ts';
import { Load, type LoadPlan, Publisher } from './load.ts';
import { Opener, type Opening, type OpeningPlan } from './opener.ts';
import { Tally, type TallyData, WATCH } from './tally.ts';

/** This process's share of a room. */
export interface RoomPlan {
  readonly name: string;
  readonly index: number;
  readonly members: number;
  /** Indexes, within the room, of the publishers here. */
  readonly publishers: readonly number[];
}

export interface WorkerPlan {
  readonly targets: readonly Target[];
  readonly dialect: DialectChoice;
  readonly payloadBytes: number;
  /**
   * Publishers are members; else they have separate connections, and each room's first member watches for all
   * of them.
   */
  readonly publishersJoin: boolean;
  /** How many connections the non-member publishers share; null: each has its own. */
  readonly outsideConnections: number | null;
  readonly rooms: readonly RoomPlan[];
}

/** The result of a phase. */
export interface WorkerReport extends TallyData {
  readonly publishedByRoom: readonly (readonly [room: number, published: number])[];
  /**
   * User and system time of this process since `start`, and the time from then until it was stopped and the
   * last delivery arrived.
   */
  readonly cpuUs: number;
  readonly wallUs: number;
  /** How long load was applied. */
  readonly loadUs: number;
  /** How often it was idle and slept since `start`: a sender to a sleeping process pays for waking it. */
  readonly sleeps: number;
}

/** Progress of a phase; cheaper than a report. */
export interface WorkerProgress {
  /** Connections that are ready now. */
  readonly open: number;
  readonly published: number;
  readonly delivered: number;
  readonly firstTrouble: string | null;
}

/** What a parent can call, and the results. */
export interface WorkerCalls {
  plan(plan: WorkerPlan): null;
  /** Connects and joins all members. */
  open(plan: OpeningPlan): Opening;
  /**
   * Clears the counts. All processes must answer before any of them starts: its messages reach members of the
   * others.
   */
  reset(): null;
  start(load: LoadPlan): null;
  /** Ends the load and waits for what is in flight, as long as some of it arrives. */
  stop(patienceMs: number): WorkerReport;
  report(): WorkerReport;
  progress(): WorkerProgress;
  /** Cuts all members' links without notice, and reconnects them, each to a random target. */
  cut(plan: OpeningPlan & { readonly backAfterMs: number }): Opening;
}

type Handlers = {
  readonly [Call in keyof WorkerCalls]: (
    ...given: Parameters<WorkerCalls[Call]>
  ) => ReturnType<WorkerCalls[Call]> | Promise<ReturnType<WorkerCalls[Call]>>;
};

export interface WorkerQuestion {
  readonly id: number;
  readonly call: keyof WorkerCalls;
  readonly given: readonly unknown[];
}

export type WorkerAnswer =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly failed: string };

class Worker implements Handlers {
  readonly #tally = new Tally();
  readonly #members: LoadConnection[] = [];
  readonly #outsiders: LoadConnection[] = [];
  readonly #publishers: Publisher[] = [];
  #opener: Opener | null = null;
  #load: Load | null = null;
  #cpuAtStart = process.resourceUsage();
  #startedUs = 0;
  #stoppedUs: number | null = null;
  #endedUs: number | null = null;

  async plan(plan: WorkerPlan): Promise<null> {
    const { createDialect } = (await import(plan.dialect.module)) as DialectModule;
    const dialect = createDialect(plan.dialect.options);
    for (const room of plan.rooms) this.#planRoom(room, plan, dialect);
    this.#opener = new Opener(
      plan.targets,
      () => this.#load?.chunkRead(),
      ({ message }) => this.#tally.trouble(`a member did not come back: ${message}`),
    );
    return null;
  }

  #planRoom(room: RoomPlan, plan: WorkerPlan, dialect: Dialect): void {
    const { publishersJoin, payloadBytes, outsideConnections } = plan;
    const connect = (roomName: string | null, watches: number): LoadConnection =>
      new LoadConnection({ roomName, room: room.index, watches }, dialect, this.#tally);
    // If a room's publishers are elsewhere, this process does not count their messages in flight.
    const first = room.publishers.length === 0 ? WATCH.none : WATCH.all;
    for (let member = 0; member < room.members; member++) {
      const watches = publishersJoin ? room.publishers[member] : member === 0 ? first : undefined;
      this.#members.push(connect(room.name, watches ?? WATCH.none));
    }
    const members = this.#members.slice(-room.members);
    room.publishers.forEach((index, i) => {
      const isSharing = !publishersJoin && outsideConnections !== null;
      if (!publishersJoin && this.#outsiders.length < (outsideConnections ?? Number.POSITIVE_INFINITY))
        this.#outsiders.push(connect(null, WATCH.none));
      const outside = isSharing ? this.#publishers.length % this.#outsiders.length : -1;
      const connection = publishersJoin ? members[i]! : this.#outsiders.at(outside)!;
      const publisher = { roomName: room.name, room: room.index, index, payloadBytes, isSharing };
      this.#publishers.push(new Publisher(connection, dialect, publisher));
    });
  }

  #planned(): Opener {
    if (this.#opener === null) throw new Error('call plan first');
    return this.#opener;
  }

  open(plan: OpeningPlan): Promise<Opening> {
    return this.#planned().open([...this.#members, ...this.#outsiders], plan);
  }

  async cut(plan: OpeningPlan & { readonly backAfterMs: number }): Promise<Opening> {
    for (const member of this.#members) member.cut();
    return this.#planned().reopen(this.#members, plan, plan.backAfterMs);
  }

  reset(): null {
    this.#tally.reset();
    for (const publisher of this.#publishers) publisher.published = 0;
    return null;
  }

  start(plan: LoadPlan): null {
    const load = new Load(this.#publishers, plan);
    this.#load = load;
    this.#tally.returned = () => load.returned();
    this.#cpuAtStart = process.resourceUsage();
    this.#startedUs = nowUs();
    this.#stoppedUs = this.#endedUs = null;
    load.start();
    return null;
  }

  async stop(patienceMs: number): Promise<WorkerReport> {
    this.#stoppedUs = nowUs();
    await this.#load?.stop(patienceMs);
    // Excludes the wait for lost messages.
    this.#endedUs = Math.max(this.#stoppedUs, this.#tally.messageUs);
    return this.report();
  }

  progress(): WorkerProgress {
    const published = this.#publishers.reduce((sum, publisher) => sum + publisher.published, 0);
    const open = [...this.#members, ...this.#outsiders].filter(({ isReady }) => isReady).length;
    const { delivered, firstTrouble } = this.#tally;
    return { open, published, delivered, firstTrouble };
  }

  /** After the stop, the last message counts; pings do not. */
  #endUs(): number {
    return this.#endedUs === null ? nowUs() : Math.max(this.#endedUs, this.#tally.messageUs);
  }

  report(): WorkerReport {
    const now = process.resourceUsage();
    const start = this.#cpuAtStart;
    const byRoom = new Map<number, number>();
    for (const { room, published } of this.#publishers) byRoom.set(room, (byRoom.get(room) ?? 0) + published);
    return {
      ...this.#tally.data(),
      publishedByRoom: [...byRoom],
      cpuUs: now.userCPUTime + now.systemCPUTime - start.userCPUTime - start.systemCPUTime,
      wallUs: this.#endUs() - this.#startedUs,
      loadUs: (this.#stoppedUs ?? nowUs()) - this.#startedUs,
      sleeps: now.voluntaryContextSwitches - start.voluntaryContextSwitches,
    };
  }
}

const worker: Handlers = new Worker();

process.on('message', ({ id, call, given }: WorkerQuestion) => {
  const answer = (what: WorkerAnswer): void => {
    process.send?.(what);
  };
  // The call and its arguments match because `ask` in the parent is typed.
  const handle = (async () => (worker[call] as (...given: readonly unknown[]) => unknown)(...given))();
  handle.then(
    (result) => answer({ id, result }),
    (error: unknown) => answer({ id, failed: sentenceOf(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
// Ctrl-C reaches all processes of a terminal: the parent decides how the run ends.
process.on('SIGINT', () => undefined);
