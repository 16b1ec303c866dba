/** What the attacker saw, in the terms of the node's counters: the two must agree. */
import { ERROR_STATUS, type ErrorCode } from '../../src/protocol/codes.ts';
import { KINDS, type Kind } from './inputs.ts';

type Counts = Record<string, number>;

/** Close codes that have a label of their own at the node. */
const LABELLED = [
  ...[1000, 1001, 1005, 1006, 1007, 1009, 1011, 1012, 1013],
  ...[4002, 4008, 4009, 4010, 4501, 4503, 4504],
];

export class Ledger {
  /** How each input ended, in words. Every input is in here once. */
  readonly outcomes = Object.fromEntries(KINDS.map((kind) => [kind, {}])) as Record<Kind, Counts>;
  /** Connections that were accepted. */
  sockets = 0;
  /** WebSockets that opened. */
  opened = 0;
  /** Event streams that began. */
  streams = 0;
  /** Upgrades that were answered with an HTTP error. */
  upgradesRefused = 0;
  /** Inputs that uWebSockets.js answered by itself, since it could not read them as a request. */
  refusedAsHttp = 0;
  /** Answers that the node itself made, but for those to upgrades, by class of status. */
  readonly answers: Counts = {};
  /** Error frames, error events and error bodies, by the HTTP status of their code. */
  readonly errors: Counts = {};
  /** WebSockets that closed, by the node's label for the code. */
  readonly closes: Counts = {};

  outcome(kind: Kind, what: string): void {
    add(this.outcomes[kind], what);
  }

  /** `isPage`: text for people, where others get the body of an error. */
  answered(status: number, isPage = false): void {
    add(this.answers, `${Math.floor(status / 100)}xx`);
    if (status >= 400 && !isPage) add(this.errors, String(status));
  }

  error(code: string): void {
    add(this.errors, String(ERROR_STATUS[code as ErrorCode] ?? code));
  }

  closed(code: number): void {
    add(this.closes, LABELLED.includes(code) ? String(code) : 'other');
  }

  get sent(): number {
    return Object.values(this.outcomes).reduce((sum, counts) => sum + total(counts), 0);
  }

  /** From another process. */
  static from(plain: Ledger): Ledger {
    return Object.assign(new Ledger(), plain);
  }
}

export function add(counts: Counts, name: string, more = 1): void {
  counts[name] = (counts[name] ?? 0) + more;
}

export function total(counts: Counts): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** A whole exposition: the value of each series. */
export function readExposition(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [
      line.slice(0, line.lastIndexOf(' ')),
      Number(line.slice(line.lastIndexOf(' ') + 1)),
    ]),
  );
}

/** Counters of a node between two scrapes. */
export class Counted {
  readonly #before: ReadonlyMap<string, number>;
  readonly #after: ReadonlyMap<string, number>;

  constructor(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>) {
    this.#before = before;
    this.#after = after;
  }

  /** By how much each series of a metric grew, by the value of one label; those that did not grow are left out. */
  by(metric: string, label: string): Counts {
    const counts: Counts = {};
    for (const [series, value] of this.#after) {
      if (!series.startsWith(`${metric}{`)) continue;
      const name = new RegExp(`${label}="([^"]*)"`).exec(series)?.[1];
      const more = value - (this.#before.get(series) ?? 0);
      if (name !== undefined && more !== 0) add(counts, name, more);
    }
    return counts;
  }

  of(series: string): number {
    return (this.#after.get(series) ?? 0) - (this.#before.get(series) ?? 0);
  }
}

/** What we did ourselves between two readings. */
export interface OwnRequests {
  /** At most. */
  readonly requests: number;
  /** Exactly; null if not known. */
  readonly sockets: number | null;
}

/**
 * What a run and the node disagree on, a sentence each.
 *
 * Errors and HTTP answers may be fewer here than there: where more bytes follow a request that the node has answered, and
 * they are no HTTP, uWebSockets.js drops the answer and sends one of its own. There are at most as many of these as inputs
 * that were `refused as HTTP`.
 */
export function disagreements(ledger: Ledger, counted: Counted, own: OwnRequests): string[] {
  const errors: Counts = {};
  for (const [code, more] of Object.entries(counted.by('roomcast_errors_total', 'code'))) {
    add(errors, String(ERROR_STATUS[code as ErrorCode] ?? code), more);
  }
  const answers = counted.by('roomcast_http_requests_total', 'status');
  const { sse = 0, msgpack = 0, json = 0 } = counted.by('roomcast_connections_opened_total', 'encoding');
  const rejected = total(counted.by('roomcast_upgrades_rejected_total', 'reason'));
  // A stream that fails before it begins was a connection for a moment: its reader sees only the answer.
  const seenCloses = { ...ledger.closes };
  add(seenCloses, '1005', sse - ledger.streams);
  return [
    ...atLeast('errors by status', ledger.errors, errors, ledger.refusedAsHttp),
    ...atLeast('HTTP answers', ledger.answers, answers, ledger.refusedAsHttp + own.requests),
    ...equal(
      'closes',
      withoutCode(seenCloses),
      withoutCode(counted.by('roomcast_connections_closed_total', 'code')),
    ),
    ...equal('opened', { websockets: ledger.opened }, { websockets: msgpack + json }),
    ...atLeast('upgrades', { rejected: ledger.upgradesRefused }, { rejected }, Number.POSITIVE_INFINITY),
    ...(own.sockets === null
      ? []
      : equal(
          'sockets',
          { opened: ledger.sockets + own.sockets },
          { opened: counted.of('roomcast_sockets_opened_total') },
        )),
  ];
}

/** The node answers a close frame without a valid code with one that has none, and counts 1006. */
function withoutCode({ '1005': none = 0, '1006': broken = 0, ...rest }: Counts): Counts {
  return { ...rest, '1005 or 1006': none + broken };
}

function equal(what: string, seen: Counts, counted: Counts): string[] {
  const names = [...new Set([...Object.keys(seen), ...Object.keys(counted)])].sort();
  return names
    .filter((name) => (seen[name] ?? 0) !== (counted[name] ?? 0))
    .map((name) => `${what}: ${name}: ${seen[name] ?? 0} seen, ${counted[name] ?? 0} counted`);
}

function atLeast(what: string, seen: Counts, counted: Counts, mayBeMore: number): string[] {
  const more = total(counted) - total(seen);
  const hasMissed = Object.keys(seen).some((name) => (counted[name] ?? 0) < seen[name]!);
  return hasMissed || more > mayBeMore ? equal(what, seen, counted) : [];
}
