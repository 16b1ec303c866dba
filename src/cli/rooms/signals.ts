/** `roomcast pub --ephemeral`: publishes signals, and ends well only when the node has passed every one on. */
import { setTimeout as pause } from 'node:timers/promises';
import type { RoomcastClient } from '../../client/node.ts';
import { DisconnectedError, RefusedError } from '../../client/public.ts';
import { EXIT } from '../exit-codes.ts';
import type { Work } from './command.ts';
import type { Ending } from './ending.ts';
import type { Piece } from './input.ts';
import { joined } from './joined.ts';
import { Tally } from './tally.ts';

/** On their way at one time. */
const WINDOW = 64;
/** At 1,000 commands a second, the default of nodes, about a window may be sent after it. */
const PAUSE_MS = 50;
const LOST = 'the connection was lost: it is unknown whether the last signals were sent';

export class Signals implements Work {
  readonly #room: string;
  readonly #pieces: AsyncGenerator<Piece>;
  readonly #join: boolean;
  readonly #tally = new Tally();
  readonly #failure: Promise<never>;
  #fail!: (error: unknown) => void;
  #underWay = 0;
  /** Called when one of those on their way is answered. */
  #wake: () => void = () => undefined;

  constructor(room: string, pieces: AsyncGenerator<Piece>, join = false) {
    this.#room = room;
    this.#join = join;
    this.#pieces = pieces;
    this.#failure = new Promise((_, reject) => {
      this.#fail = reject;
    });
    // It may fail before the work begins, which then ends with it.
    this.#failure.catch(() => undefined);
  }

  async run(client: RoomcastClient, { signal }: Ending): Promise<void> {
    if (this.#join) await joined(client, this.#room);
    // The input may stay silent for ever: what fails meanwhile does not wait for it.
    await Promise.race([this.#sendAll(client, signal), this.#failure]);
  }

  failed(error: unknown): void {
    this.#fail(error);
  }

  summary(exitCode: number): string | null {
    return exitCode === EXIT.ok ? null : this.#tally.summary('sent');
  }

  async #sendAll(client: RoomcastClient, abort: AbortSignal): Promise<void> {
    await this.#untilConnected(client, abort);
    for await (const piece of this.#pieces) {
      if (abort.aborted) return;
      this.#tally.sent(piece.line);
      while (!this.#send(client, piece)) await this.#untilItMayLeave(client, abort);
      if (this.#underWay >= WINDOW) await this.#untilAllAreAnswered();
    }
    await this.#untilAllAreAnswered();
  }

  /** Whether it leaves. The library drops signals where there is no connection, too much waits to leave, or the node would refuse them. */
  #send(client: RoomcastClient, { line, data }: Piece): boolean {
    this.#underWay++;
    const outcome = client.signal(this.#room, data, false, (error) => this.#answered(line, error));
    if (outcome === 'dropped') this.#underWay--;
    return outcome === 'sent';
  }

  #answered(line: number | null, error: Error | null): void {
    this.#underWay--;
    if (error === null) this.#tally.acknowledge(line);
    else this.failed(error instanceof DisconnectedError ? new Error(LOST) : error);
    this.#wake();
  }

  async #untilAllAreAnswered(): Promise<void> {
    while (this.#underWay > 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async #untilItMayLeave(client: RoomcastClient, abort: AbortSignal): Promise<void> {
    await this.#untilAllAreAnswered();
    // What is asked counts against the pace of the node, too.
    if (client.status.state === 'connected') await pause(PAUSE_MS, undefined, { signal: abort });
    else await this.#untilConnected(client, abort);
  }

  /** A question waits for a connection. That it is refused does not matter. */
  async #untilConnected(client: RoomcastClient, abort: AbortSignal): Promise<void> {
    await client.listMembers(this.#room, { abort }).catch((error: unknown) => {
      if (!(error instanceof RefusedError)) throw error;
    });
  }
}
