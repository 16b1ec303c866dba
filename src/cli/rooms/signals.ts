/**
 * `roomcast pub --ephemeral`. Nodes do not acknowledge signals. So after every few, and at the end, a question is asked whose answer
 * shows that the node has read what came before it on the same connection; what it refused it has said by then.
 */
import type { RoomcastClient } from '../../client/node.ts';
import { RefusedError } from '../../client/public.ts';
import { EXIT } from '../exit-codes.ts';
import type { Work } from './command.ts';
import type { Ending } from './ending.ts';
import type { Piece } from './input.ts';
import { joined } from './joined.ts';
import { Tally } from './tally.ts';

const BETWEEN_QUESTIONS = 64;

export class Signals implements Work {
  readonly #room: string;
  readonly #pieces: AsyncGenerator<Piece>;
  readonly #join: boolean;
  readonly #tally = new Tally();
  #unsure: (number | null)[] = [];
  #connection: string | null = null;
  #refusal: unknown = null;

  constructor(room: string, pieces: AsyncGenerator<Piece>, join = false) {
    this.#room = room;
    this.#join = join;
    this.#pieces = pieces;
  }

  async run(client: RoomcastClient, { signal }: Ending): Promise<void> {
    if (this.#join) await joined(client, this.#room);
    // There must be a connection before the first one: signals do not wait for it.
    await this.#ask(client, signal);
    for await (const { line, data } of this.#pieces) {
      if (signal.aborted) return;
      this.#tally.sent(line);
      // It is dropped where too much waits to leave.
      if (client.signal(this.#room, data) === 'dropped') {
        await this.#ask(client, signal);
        if (client.signal(this.#room, data) === 'dropped')
          throw new Error('the connection is gone: a signal was dropped');
      }
      this.#unsure.push(line);
      if (this.#unsure.length >= BETWEEN_QUESTIONS) await this.#ask(client, signal);
    }
    await this.#ask(client, signal);
  }

  failed(error: unknown): void {
    this.#refusal ??= error;
  }

  summary(exitCode: number): string | null {
    return exitCode === EXIT.ok ? null : this.#tally.summary('sent');
  }

  /** Who is here: refused or not, the answer comes after everything before it. */
  async #ask(client: RoomcastClient, abort: AbortSignal): Promise<void> {
    await client.listMembers(this.#room, { abort }).catch((error: unknown) => {
      if (!(error instanceof RefusedError)) throw error;
    });
    const { status } = client;
    const connection = status.state === 'connected' ? status.connection : null;
    if (this.#unsure.length > 0 && connection !== this.#connection) {
      throw new Error('the connection was lost: it is unknown whether the last signals were sent');
    }
    this.#connection = connection;
    if (this.#refusal !== null) throw this.#refusal;
    for (const line of this.#unsure) this.#tally.acknowledge(line);
    this.#unsure = [];
  }
}
