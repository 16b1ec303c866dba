import { type Allowance, FLOOD, WITHIN } from '../../connection/allowance.ts';
import type { Connection } from '../../connection/connection.ts';
import type { ConnectionContext } from '../../connection/context.ts';
import { HttpError } from '../http/http-error.ts';

/** Told to a client that sent too much at once to be worth a number. */
const FLOOD_RETRY_MS = 1000;
/** What a value of a body counts as, in bytes: most have about so many, and the shortest take as long to read. */
const VALUE_BYTES = 8;

/** Charges a request of a client, before its body is parsed, as a message with one command. Throws `HttpError`. */
export function chargeBody(
  { limits, turn, clock, metrics }: ConnectionContext<Connection>,
  allowance: Allowance,
  user: string | null,
  { bytes, values }: { readonly bytes: number; readonly values: number },
): void {
  const nowMs = clock.nowMs();
  turn.request();
  let verdict = allowance.message(limits, user, Math.max(bytes, VALUE_BYTES * values), turn.number, nowMs);
  // Each request that waits has a socket of its own, and those are limited.
  if (verdict === WITHIN) verdict = allowance.command(limits, user, 0, nowMs);
  if (verdict === WITHIN) return;
  metrics.commands.rateLimited++;
  throw HttpError.of(allowance.refusal(limits, verdict === FLOOD ? FLOOD_RETRY_MS : verdict));
}
