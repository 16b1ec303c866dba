/** `roomcast pub`: publishes, and ends well only when every message was acknowledged. */
import type { PublishResult, RoomcastClient } from '../../client/node.ts';
import { ClosedError, RefusedError } from '../../client/public.ts';
import { sentenceOf } from '../../util/error-words.ts';
import { EXIT } from '../exit-codes.ts';
import { fail, type Io } from '../io.ts';
import { withoutSecrets } from '../logger.ts';
import { exitCodeOf, type Work, withLink } from './command.ts';
import type { Ending } from './ending.ts';
import { type InputOptions, type Piece, piecesOf } from './input.ts';
import { joined } from './joined.ts';
import type { LinkOptions } from './options.ts';
import { Signals } from './signals.ts';
import { Tally } from './tally.ts';

export interface PubOptions extends LinkOptions, InputOptions {
  readonly join?: boolean;
  readonly ephemeral?: boolean;
  readonly results?: boolean;
}

/** On their way at one time. */
const WINDOW = { messages: 256, bytes: 1024 * 1024 };
/** Results that may wait for a reader. */
const MAX_UNREAD_RESULTS = 1000;

interface Failure {
  readonly error: unknown;
  readonly line: number | null;
}

/** Returns the exit code. `data`: undefined or `-` for standard input. */
export async function pubCommand(
  io: Io,
  room: string,
  data: string | undefined,
  options: PubOptions,
): Promise<number> {
  const isStdin = data === undefined || data === '-';
  const problem = problemOf(options, isStdin && options.whole !== true);
  if (problem !== null) return fail(io, [problem], EXIT.usage);
  if (isStdin && io.pipes.stdinTerminal && options.quiet !== true) {
    io.stderr('reading from the terminal; Ctrl-D ends the input\n');
  }
  const pieces = piecesOf(data, io.pipes, options);
  const work = options.ephemeral
    ? new Signals(room, pieces, options.join)
    : new Publication(io, room, pieces, options);
  return withLink(io, options, { patient: false, onError: (error) => work.failed(error) }, work);
}

function problemOf(
  { key, keyFrom, ephemeral, results, json, binary }: PubOptions,
  isLines: boolean,
): string | null {
  if (json && binary) return '--json and --binary exclude each other';
  if (key !== undefined && keyFrom !== undefined) return '--key and --key-from exclude each other';
  if (key !== undefined && isLines) {
    return '--key is for one message; for lines use --key-from line, or --whole for all of the input as one message';
  }
  if (!ephemeral) return null;
  if (key !== undefined || keyFrom !== undefined)
    return '--ephemeral messages have no key: nothing is stored';
  return results ? '--ephemeral messages have no place in the room, so there are no --results' : null;
}

class Publication implements Work {
  readonly #io: Io;
  readonly #room: string;
  readonly #pieces: AsyncGenerator<Piece>;
  readonly #options: PubOptions;
  readonly #tally = new Tally();
  #underWay = 0;
  #bytes = 0;
  #failure: Failure | null = null;
  #unread = 0;
  #lastResult: Promise<unknown> = Promise.resolve();
  /** Called when something has settled or failed. */
  #wake: () => void = () => undefined;

  constructor(io: Io, room: string, pieces: AsyncGenerator<Piece>, options: PubOptions) {
    this.#io = io;
    this.#room = room;
    this.#pieces = pieces;
    this.#options = options;
  }

  async run(client: RoomcastClient, ending: Ending): Promise<void> {
    if (this.#options.join) await joined(client, this.#room);
    let isRead = false;
    const reading = this.#sendAll(client, ending)
      .catch((error: unknown) => this.failed(error))
      .finally(() => {
        isRead = true;
        this.#wake();
      });
    // The input may stay silent for ever: what fails meanwhile does not wait for it. What is on its way gets its answer, whatever
    // becomes of the rest.
    while (this.#underWay > 0 || (!isRead && this.#failure === null)) await this.#change();
    if (this.#failure === null) await reading;
    await this.#lastResult;
    const failure = this.#failure as Failure | null;
    if (failure === null) return;
    const { line, error } = failure;
    ending.end(
      exitCodeOf(error),
      withoutSecrets(`${line === null ? '' : `line ${line}: `}${sentenceOf(error)}${this.#hint(error)}`),
    );
  }

  #hint(error: unknown): string {
    const isOutside = error instanceof RefusedError && error.code === 'not_joined' && !this.#options.join;
    return isOutside ? '; with --join, pub joins it first' : '';
  }

  summary(exitCode: number): string | null {
    return exitCode === EXIT.ok ? null : this.#tally.summary();
  }

  failed(error: unknown, line: number | null = null): void {
    this.#failure ??= { error, line };
    this.#wake();
  }

  async #sendAll(client: RoomcastClient, ending: Ending): Promise<void> {
    for await (const piece of this.#pieces) {
      while (this.#isBusy(piece.bytes)) await this.#change();
      if (this.#unread >= MAX_UNREAD_RESULTS) await this.#lastResult;
      if (this.#failure !== null || ending.isReached) return;
      this.#send(client, piece);
    }
  }

  #send(client: RoomcastClient, { line, data, bytes, key }: Piece): void {
    this.#tally.sent(line);
    this.#underWay++;
    this.#bytes += bytes;
    client
      .publish(this.#room, data, key === undefined ? {} : { key })
      .then(
        (result) => this.#acknowledged(line, result),
        (error: unknown) => {
          // The command is ending already, and says why.
          if (!(error instanceof ClosedError)) this.failed(error, line);
        },
      )
      .finally(() => {
        this.#underWay--;
        this.#bytes -= bytes;
        this.#wake();
      });
  }

  #acknowledged(line: number | null, result: PublishResult): void {
    this.#tally.acknowledge(line);
    if (this.#options.results !== true) return;
    const text = `${JSON.stringify({ ...(line !== null && { line }), ...result })}\n`;
    this.#unread++;
    this.#lastResult = this.#io.pipes.write(text).finally(() => this.#unread--);
  }

  /** Whether something must settle before so many bytes more may be sent. */
  #isBusy(bytes: number): boolean {
    if (this.#underWay === 0 || this.#failure !== null) return false;
    return this.#underWay >= WINDOW.messages || this.#bytes + bytes > WINDOW.bytes;
  }

  /** Resolves when something settles or fails. */
  #change(): Promise<void> {
    const before = this.#wake;
    return new Promise((resolve) => {
      this.#wake = () => {
        before();
        resolve();
        this.#wake = () => undefined;
      };
    });
  }
}
