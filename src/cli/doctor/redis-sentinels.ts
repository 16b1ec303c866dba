/** Whether Sentinels agree on a primary, can replace it, and have somebody to promote. */
import { isUnknownCommand } from '../../backplane/redis/link/redis-errors.ts';
import {
  addressOfPrimary,
  type SentinelFacts,
  type WatchedPrimary,
  type WatchedReplica,
} from '../../backplane/redis/start/inspect-sentinels.ts';
import { noSentinel, unknownName } from '../../backplane/redis/start/sentinel-problem.ts';
import { codeOrMessage } from '../../util/error-words.ts';
import { shownAddress } from '../../util/redis-url.ts';
import { type Finding, ok, problem, warning } from './finding.ts';
import { checkFailover } from './redis-failover.ts';

const ABOUT = 'redis sentinels';
/** One can be lost, and the others still agree. */
const ENOUGH_SENTINELS = 3;

/** `name`: of the primary. `primaryAnswers`: whether the one that most of them name answers here. */
export function checkRedisSentinels(
  facts: readonly SentinelFacts[],
  name: string,
  primaryAnswers = true,
): Finding[] {
  const findings = [
    ...facts.flatMap(unanswered),
    ...needlessPassword(facts),
    ...agreement(facts, name),
    ...facts.flatMap(seenDown),
    ...replicas(facts),
  ];
  const isSound = primaryAnswers && findings.every(({ level }) => level === 'ok');
  return [...checkFailover(facts, isSound, primaryAnswers), ...findings];
}

/** Host and port of the primary, as most of them say; null if none knows one. */
export function primaryOf(facts: readonly SentinelFacts[]): string | null {
  const named = facts.map(addressOfPrimary).filter((address) => address !== null);
  const votes = (address: string) => named.filter((one) => one === address).length;
  return named.sort((a, b) => votes(b) - votes(a))[0] ?? null;
}

/** Host and port of the replicas that any of them knows and reaches. */
export function replicasOf(facts: readonly SentinelFacts[]): string[] {
  const all = facts.flatMap((one) => knownBy(one)?.replicas ?? []).filter((one) => !isAway(one));
  return [...new Set(all.map(shownAddress))].sort();
}

function isAway({ flags }: Pick<WatchedReplica, 'flags'>): boolean {
  return flags.some((flag) => /down$|^disconnected$/.test(flag));
}

function knownBy({ found }: SentinelFacts): WatchedPrimary | null {
  return found instanceof Error ? null : found.primary;
}

function unanswered({ address, found }: SentinelFacts): Finding[] {
  if (!(found instanceof Error)) return [];
  if (isUnknownCommand(found.message)) {
    return [
      problem(
        ABOUT,
        noSentinel(address),
        'name Sentinels in redis.sentinels, whose port is 26379 by default',
      ),
    ];
  }
  const advice = 'start it, check its user and password, or take it out of redis.sentinels';
  return [problem(ABOUT, `the Sentinel at ${address} does not answer: ${codeOrMessage(found)}`, advice)];
}

function needlessPassword(facts: readonly SentinelFacts[]): Finding[] {
  const open = facts.filter(({ found }) => !(found instanceof Error) && found.ignoresPassword);
  if (open.length === 0) return [];
  const says = `the password in redis.sentinels is not required by ${open.map(({ address }) => address).join(', ')}: anyone who gets there can replace the primary`;
  return [warning(ABOUT, says, 'set requirepass there, or take the password out of redis.sentinels')];
}

function agreement(facts: readonly SentinelFacts[], name: string): Finding[] {
  const answered = facts.filter(({ found }) => !(found instanceof Error));
  const knowing = answered.filter((one) => knownBy(one) !== null);
  if (answered.length === 0) return [];
  if (knowing.length === 0) {
    return [problem(ABOUT, unknownName(facts, name), 'set redis.sentinelName (--redis-sentinel-name)')];
  }
  const findings = answered
    .filter((one) => knownBy(one) === null)
    .map(({ address }) =>
      problem(
        ABOUT,
        `the Sentinel at ${address} knows no primary "${name}"`,
        `run sentinel monitor ${name} there`,
      ),
    );
  const places = new Set(knowing.map(addressOfPrimary));
  if (places.size > 1) {
    const each = knowing.map((one) => `${one.address} says ${addressOfPrimary(one)}`).join(', ');
    const says = `they name different primaries: ${each}`;
    findings.push(
      problem(ABOUT, says, 'if it stays after a failover, SENTINEL RESET on those that are wrong'),
    );
  }
  return [...findings, ...quorum(facts, knowing, name)];
}

function quorum(facts: readonly SentinelFacts[], knowing: readonly SentinelFacts[], name: string): Finding[] {
  const findings: Finding[] = [];
  const lacking = knowing.find((one) => knownBy(one)!.quorumProblem !== null);
  if (lacking !== undefined) {
    const says = `nobody would replace the primary if it died now: the Sentinel at ${lacking.address} says ${knownBy(lacking)!.quorumProblem}`;
    findings.push(problem(ABOUT, says, 'start the Sentinels that are missing, or lower their quorum'));
  }
  const total = Math.max(...knowing.map((one) => knownBy(one)!.knownSentinels));
  if (total < ENOUGH_SENTINELS) {
    const says = `${total === 1 ? 'one Sentinel watches' : `${total} Sentinels watch`} the primary: when one is lost there is no majority to replace it`;
    findings.push(warning(ABOUT, says, 'use three, on machines of their own'));
  }
  if (total > facts.length) {
    const says = `redis.sentinels names ${facts.length} of ${total} Sentinels: nodes do not look for others`;
    findings.push(warning(ABOUT, says, 'name all of them'));
  }
  if (findings.length > 0) return findings;
  const { quorum } = knownBy(knowing[0]!)!;
  return [
    ok(
      ABOUT,
      `${knowing.length} of ${total} Sentinels watch ${name} at ${primaryOf(facts)}, quorum ${quorum}`,
    ),
  ];
}

function seenDown(facts: SentinelFacts): Finding[] {
  const primary = knownBy(facts);
  if (primary === null || !primary.flags.some((flag) => /^[so]_down$/.test(flag))) return [];
  const says = `the Sentinel at ${facts.address} finds the primary ${addressOfPrimary(facts)} down (${primary.flags.join(', ')})`;
  return [
    problem(
      ABOUT,
      says,
      'a replica should take over; if none does, start it, and see the log of the Sentinels',
    ),
  ];
}

/** By the first Sentinel that tells. */
function replicas(facts: readonly SentinelFacts[]): Finding[] {
  const primary = facts.map(knownBy).find((one) => one?.replicas) ?? null;
  if (primary === null || primary.replicas === null) return [];
  const place = `${primary.host}:${primary.port}`;
  if (primary.replicas.length === 0) {
    const says = `no replica follows ${place}: when it is lost, everything is unavailable until it is back`;
    return [warning(ABOUT, says, 'add one (replicaof), and masterauth if Redis has a password')];
  }
  return primary.replicas.flatMap(({ host, port, flags, follows, isLinkUp }) => {
    const address = `${host}:${port}`;
    if (isAway({ flags })) {
      const says = `the replica ${address} is away (${flags.join(', ')}): it cannot take over`;
      return [warning(ABOUT, says, 'start it; SENTINEL RESET forgets one that is gone for good')];
    }
    if (follows === null) {
      const says = `the Sentinels do not know yet whom the replica ${address} follows`;
      return [warning(ABOUT, says, 'run this again in a few seconds')];
    }
    if (follows !== place) {
      const says = `the replica ${address} follows ${follows}, and not ${place}`;
      return [warning(ABOUT, says, 'if it stays after a failover, see the log of the Sentinels')];
    }
    if (isLinkUp) return [];
    const says = `the replica ${address} has no link to ${place}: it falls behind, and cannot take over`;
    return [warning(ABOUT, says, 'see its log; with a password it needs masterauth')];
  });
}
