/** `roomcast sub`: prints what is published in rooms. */
import type { Position, RoomcastClient, RoomOptions } from '../../client/node.ts';
import { EXIT } from '../exit-codes.ts';
import { fail, type Io } from '../io.ts';
import { Backlog } from './backlog.ts';
import { exitCodeOf, type Work, withLink } from './command.ts';
import type { Ending } from './ending.ts';
import { type Formatter, jsonLine, type Line, templateProblem, textLine } from './format.ts';
import type { LinkOptions } from './options.ts';
import { PositionFile } from './position-file.ts';
import { RemovedError, RoomReader, type RoomReaderEvents } from './room-reader.ts';
import type { Waits } from './waits.ts';

export interface SubOptions extends LinkOptions {
  readonly last?: number;
  readonly since?: Position;
  readonly positionFile?: string;
  readonly count?: number;
  /** Seconds. */
  readonly idle?: number;
  readonly format?: string;
  readonly signals?: boolean;
}

/** How long what has arrived may still take to leave, after the end. */
const LAST_WRITES_MS = 2000;

/** Returns the exit code. */
export async function subCommand(io: Io, rooms: readonly string[], options: SubOptions): Promise<number> {
  const problem = problemOf(rooms, options);
  if (problem !== null) return fail(io, [problem], EXIT.usage);
  let failed: (error: Error) => void = () => undefined;
  let positions: PositionFile | null = null;
  try {
    const { positionFile: path } = options;
    positions = path === undefined ? null : new PositionFile(path, (error) => failed(error));
  } catch (error) {
    return fail(io, [(error as Error).message]);
  }
  const sub = new Subscription(io, [...new Set(rooms)], options, positions);
  failed = (error) => sub.fail(error);
  return withLink(io, options, { patient: true }, sub);
}

function problemOf(rooms: readonly string[], { since, format, last }: SubOptions): string | null {
  if (since !== undefined && rooms.length > 1) {
    return '--since is a position in one room; for several rooms use --position-file';
  }
  if (since !== undefined && last !== undefined) return '--since and --last exclude each other';
  return format === undefined ? null : templateProblem(format);
}

/** What is remembered of an item until it has left this process. */
interface Place {
  readonly room: string;
  readonly position: Position | null;
}

class Subscription implements Work {
  readonly #io: Io;
  readonly #names: readonly string[];
  readonly #options: SubOptions;
  readonly #positions: PositionFile | null;
  readonly #format: Formatter;
  readonly #backlog: Backlog<Place>;
  #readers: readonly RoomReader[] = [];
  #ending!: Ending;
  #client!: RoomcastClient;
  #waits!: Waits;
  #taken = 0;
  #idle: NodeJS.Timeout | null = null;

  constructor(io: Io, names: readonly string[], options: SubOptions, positions: PositionFile | null) {
    this.#io = io;
    this.#names = names;
    this.#options = options;
    this.#positions = positions;
    this.#format = formatterOf(io, names, options);
    this.#backlog = new Backlog((text) => io.pipes.write(text), {
      full: () => this.#pause(),
      low: () => this.#resume(),
      flushed: (places) => this.#flushed(places),
      closed: () => this.#ending.end(EXIT.ok),
    });
  }

  async run(client: RoomcastClient, ending: Ending, waits: Waits): Promise<void> {
    this.#client = client;
    this.#waits = waits;
    this.#ending = ending;
    this.#stillAlive();
    // Before anything is printed it must be known that the file can be written.
    await this.#positions?.saved();
    if (ending.isReached) return;
    this.#readers = this.#names.map(
      (name) => new RoomReader(name, client, this.#begin(name), this.#events(name)),
    );
    this.#resume();
    await ending.reached;
  }

  async finish(): Promise<void> {
    this.#pause();
    // A reader that does not read must not keep the command from ending.
    const late = new Promise((resolve) => setTimeout(resolve, LAST_WRITES_MS).unref());
    await Promise.race([this.#backlog.drained(), late]);
    await this.#positions?.saved();
  }

  fail(error: Error): void {
    this.#ending?.end(EXIT.failed, error.message);
  }

  /** The first join of a room. What a position file says comes first. */
  #begin(room: string): RoomOptions {
    const { since, last } = this.#options;
    const position = this.#positions?.of(room) ?? since;
    if (position !== undefined) return { since: position };
    return last === undefined ? {} : { last };
  }

  #events(room: string): RoomReaderEvents {
    return {
      message: ({ offset, time, sender, data }, position) => {
        const [epoch, place] = position === null ? [null, null] : [position[0], offset];
        this.#take({ room, epoch, offset: place, time, sender, data }, position);
      },
      signal: ({ time, sender, data }) => {
        if (this.#options.signals !== true) return;
        this.#take({ room, epoch: null, offset: null, time, sender, data, signal: true }, null);
      },
      stands: (position) => {
        if (!this.#isComplete) this.#backlog.add('', { room, position });
      },
      missing: (what) => this.#io.stderr(`${what}\n`),
      ended: (error) => {
        const exitCode = error instanceof RemovedError ? EXIT.refused : exitCodeOf(error);
        this.#ending.end(exitCode, `${room}: ${error.message}`);
      },
    };
  }

  #take(line: Line, position: Position | null): void {
    if (this.#isComplete || this.#ending.isReached) return;
    this.#taken++;
    this.#backlog.add(this.#format(line), { room: line.room, position });
    this.#stillAlive();
    if (!this.#isComplete) return;
    this.#pause();
    void this.#backlog.drained().then(() => this.#ending.end(EXIT.ok));
  }

  /** Everything that `--count` asks for has come. */
  get #isComplete(): boolean {
    return this.#taken === this.#options.count;
  }

  #flushed(places: readonly Place[]): void {
    for (const { room, position } of places) if (position !== null) this.#positions?.set(room, position);
    this.#positions?.save();
    this.#stillAlive();
  }

  #pause(): void {
    for (const reader of this.#readers) {
      if (reader.losesWhilePaused && !this.#isComplete && !this.#ending.isReached) {
        this.#io.stderr(
          `${reader.name}: the output is read too slowly, and the room keeps no history: messages are lost\n`,
        );
      }
      reader.pause();
    }
  }

  #resume(): void {
    if (this.#isComplete || this.#ending.isReached) return;
    for (const reader of this.#readers) reader.open();
  }

  /** Begins to wait anew for `--idle`. */
  #stillAlive(): void {
    const { idle, count } = this.#options;
    if (idle === undefined) return;
    if (this.#idle !== null) return void this.#idle.refresh();
    this.#idle = this.#ending.after(idle, () => {
      // What has come and cannot leave is not silence.
      if (!this.#backlog.isEmpty) this.#idle?.refresh();
      else if (this.#client.status.state !== 'connected') {
        this.#ending.end(EXIT.unavailable, `no connection, and nothing came for ${idle} s`);
      } else if (this.#waits.reason !== null) {
        this.#ending.end(EXIT.unavailable, `nothing came for ${idle} s: ${this.#waits.reason}`);
      } else if (count === undefined) this.#ending.end(EXIT.ok);
      else
        this.#ending.end(
          EXIT.timeout,
          `${this.#taken} of ${count} messages came, then nothing for ${idle} s`,
        );
    });
  }
}

function formatterOf({ terminal }: Io, rooms: readonly string[], { format }: SubOptions): Formatter {
  if (format !== undefined) return textLine(format, { safe: terminal });
  if (!terminal) return jsonLine;
  return textLine(rooms.length > 1 ? '%r %o %t %s %d' : '%o %t %s %d', { safe: true });
}
