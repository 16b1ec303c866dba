/** How much of one connection may wait for its turn, or for the check of its token. */
import { CLOSE } from '../protocol/codes.ts';
import type { Allowance } from './allowance.ts';
import type { ConnectionContext } from './context.ts';
import type { HeldCommands } from './held-commands.ts';
import { closeFlood, type Offender } from './sanctions.ts';
import { USER_CHARGE_COMMANDS } from './sending-limits.ts';

/** The connection whose commands wait. */
export interface Holder extends Offender {
  readonly user: string | null;
  readonly awaitsAuth: boolean;
  readonly context: Pick<
    ConnectionContext<never>,
    'limits' | 'metrics' | 'log' | 'turns' | 'clock' | 'maxPayloadBytes' | 'maxUnsentBytes'
  >;
}

/** Closes the connection if too much of it waits. Returns whether it did. */
export function closeIfTooMuch(
  connection: Holder,
  allowance: Allowance,
  held: HeldCommands,
  isChecking: boolean,
): boolean {
  if (held.bytes > mostBytes(connection) || allowance.turnBytes > mostNow(connection, allowance)) {
    if (isChecking) closeUnchecked(connection);
    else closeWaiting(connection);
    return true;
  }
  if (!floods(connection, allowance, held.messages)) return false;
  closeFlood(connection, allowance, 'commands');
  return true;
}

/** As much as one turn may bring in while the node has room for it; little for a client that has not authenticated. */
function mostBytes({ awaitsAuth, context }: Holder): number {
  const { limits, turns, maxPayloadBytes, maxUnsentBytes } = context;
  if (awaitsAuth) return Math.min(maxPayloadBytes, maxUnsentBytes);
  // A single message may always wait.
  return Math.max(2 * maxPayloadBytes, Math.min(limits.turnBytes, turns.share));
}

/**
 * What it may send in one turn if that waits: half a byte less for each that others sent in the same turn, so that all of them
 * bring in little more than twice what one may. It is read before anyone is served, a megabyte in 1 to 2 ms.
 */
function mostNow({ context }: Holder, { turnBytes }: Allowance): number {
  const { limits, turns, maxPayloadBytes } = context;
  const ofOthers = Math.max(0, turns.heldNow - turnBytes);
  return Math.max(2 * maxPayloadBytes, limits.turnBytes - ofOthers / 2);
}

/**
 * Whether so many messages that wait are worth no answer: more than it may send at once and have refused, or those of
 * a user or an address that is closed for each. Reading many small ones takes longer than what they ask for.
 */
function floods({ user, context }: Holder, allowance: Allowance, messages: number): boolean {
  const { limits, clock } = context;
  if (messages > limits.heldMessages) return allowance.exceedsCommands();
  if (messages % USER_CHARGE_COMMANDS !== 0) return false;
  return allowance.isFlooding(limits, user, clock.nowMs());
}

function closeUnchecked(connection: Holder): void {
  connection.fail(0, 'limit_exceeded', 'too many commands while the token is being checked');
  connection.close(CLOSE.violations);
}

function closeWaiting(connection: Holder): void {
  closeAsked(connection, 'too many commands wait for their turn: wait for replies');
}

/** Reading what it sends keeps the node from serving others: see `CommandTurns.readsTooLong`. */
export function closeLongRead(connection: Holder): void {
  closeAsked(connection, 'what this connection sends at once takes too long to read: wait for replies');
}

function closeAsked(connection: Holder, message: string): void {
  connection.context.metrics.connections.floods.commands++;
  connection.fail(0, 'rate_limited', message);
  connection.close(CLOSE.rateLimited);
}
