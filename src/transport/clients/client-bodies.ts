import type { Allowance } from '../../connection/allowance.ts';
import type { Connection } from '../../connection/connection.ts';
import type { ConnectionContext } from '../../connection/context.ts';
import type { OverLimit } from '../../connection/over-limit.ts';
import type { Exchange } from '../http/exchange.ts';
import { noRoom, type RequestBody, readBody } from '../http/request-body.ts';
import type { UnfinishedBodies } from '../http/unfinished-bodies.ts';
import { chargeBody } from './body-charge.ts';
import { parsingUnits, type RequestTurns, readingUnits } from './request-turns.ts';
import { valuesIn } from './values-in.ts';

export interface ClientBodiesParts {
  readonly context: ConnectionContext<Connection>;
  readonly bodyBytes: number;
  readonly bodies: UnfinishedBodies;
  readonly turns: RequestTurns;
}

export interface ClientBody extends RequestBody {
  /** What parsing it takes, about; 0 where it is not parsed. */
  readonly values: number;
}

/** JSON may write a byte of a text as six. */
const ESCAPED_BYTES = 6;

/** How many bytes of the body a byte of a value may take at most. */
export function written({ bodyFormat }: Exchange): number {
  return 'format' in bodyFormat && bodyFormat.format === 'msgpack' ? 1 : ESCAPED_BYTES;
}

/**
 * Bodies of client requests, from their first byte until they may be parsed. Each step that takes long has a turn of its
 * own; what waits for one counts as unfinished.
 */
export class ClientBodies {
  readonly #parts: ClientBodiesParts;

  constructor(parts: ClientBodiesParts) {
    this.#parts = parts;
  }

  /**
   * The whole body: at most `most` bytes, or `limits.bodyBytes` if that is less. Called before anything is awaited.
   * `isOpened`: whether MessagePack is unpacked. Rejects with `HttpError`.
   */
  async read(exchange: Exchange, most: number, tooLarge: OverLimit, isOpened: boolean): Promise<ClientBody> {
    const { bodyBytes, bodies } = this.#parts;
    const isUsual = most >= bodyBytes;
    const { body, format } = await (isUsual
      ? readBody(exchange, bodyBytes, bodies)
      : readBody(exchange, most, bodies, tooLarge));
    const turn = this.#turn(readingUnits(body.length), body.length);
    if (turn !== null) await turn;
    return { body, format, values: format === 'json' || isOpened ? valuesIn(body, format) : 0 };
  }

  /** Charges its sender, and waits for the turn in which it may be parsed. Rejects with `HttpError`. */
  async charge({ body, values }: ClientBody, allowance: Allowance, user: string | null): Promise<void> {
    chargeBody(this.#parts.context, allowance, user, { bytes: body.length, values });
    const turn = this.#turn(parsingUnits(values), body.length);
    if (turn !== null) await turn;
  }

  #turn(units: number, bytes: number): Promise<void> | null {
    const { turns, bodies } = this.#parts;
    if (turns.take(units)) return null;
    if (!bodies.grow(0, bytes)) throw noRoom(bodies);
    return turns.wait(units).then(() => bodies.end(bytes));
  }
}
