/** Why Sentinels lead a node to no primary, and what to do. */
import { codeOrMessage } from '../../../util/error-words.ts';
import { isUnknownCommand, isWrongCredentials } from '../link/redis-errors.ts';
import { certificateHint } from './certificate-hint.ts';
import { addressOfPrimary, type SentinelFacts } from './inspect-sentinels.ts';

export interface SentinelProblem {
  /** A sentence without a full stop. */
  readonly says: string;
  readonly passes: boolean;
}

/** Null where one of them names a primary: then that one is the problem. */
export function sentinelProblem(facts: readonly SentinelFacts[], name: string): SentinelProblem | null {
  if (facts.some((one) => addressOfPrimary(one) !== null)) return null;
  const failed = facts.flatMap(({ address, found }) => (found instanceof Error ? [{ address, found }] : []));
  if (failed.length < facts.length) {
    const says = unknownName(facts, name);
    // One that was started just now may not have been told yet what to watch, and one that is away may know more.
    return { says, passes: failed.length > 0 || namesKnown(facts).length === 0 };
  }
  const denied = failed.find(({ found }) => isWrongCredentials(found));
  if (denied !== undefined) {
    const says = `cannot log in to the Sentinel at ${denied.address}: ${codeOrMessage(denied.found)}: check the user and password in redis.sentinels`;
    return { says, passes: false };
  }
  const wrong = failed.find(({ found }) => isUnknownCommand(found.message));
  if (wrong !== undefined) {
    const says = `${noSentinel(wrong.address)}: name Sentinels in redis.sentinels, whose port is 26379 by default`;
    return { says, passes: failed.some(({ found }) => !isUnknownCommand(found.message)) };
  }
  const each = failed.map(({ address, found }) => `${address}: ${codeOrMessage(found)}`).join(', ');
  const hints = failed.map(({ found }) => certificateHint(found, 'the Sentinels', 'redis.sentinels'));
  const hint = hints.find((one) => one !== null) ?? 'check that they run, and redis.sentinels';
  return { says: `no Sentinel answers (${each}): ${hint}`, passes: true };
}

/** For a server that does not know the commands of one. */
export function noSentinel(address: string): string {
  return `the server at ${address} is not a Sentinel, but perhaps a Redis that one watches`;
}

/** For a name that none of those that answered knows. */
export function unknownName(facts: readonly SentinelFacts[], name: string): string {
  const names = namesKnown(facts);
  const known =
    names.length === 0
      ? 'they name none that they watch: configure it (sentinel monitor), or set its name'
      : `they know ${names.join(', ')}`;
  return `redis.sentinelName is "${name}", and the Sentinels know no primary by this name: ${known}`;
}

function namesKnown(facts: readonly SentinelFacts[]): readonly string[] {
  const names = facts.flatMap(({ found }) => (found instanceof Error ? [] : found.names));
  return [...new Set(names)].sort();
}
