/**
 * The one judge of all chaos tests: given what was acknowledged and what each member was given, it names every message that
 * was lost, repeated, out of order, in the place of another, or left out without a word.
 *
 * A client's position is the pair of epoch and offset. It moves by `join` (without `since`), `message`, `gap` and `reset`
 * and by nothing else, so what a member should have been given follows from its log alone.
 */
import type { MemberEvent, MemberLog } from './member-log.ts';
import type { Acknowledged } from './returning-client.ts';

export type FaultKind =
  /** Acknowledged, in the member's time, and neither given nor named by `gap` or `reset`. */
  | 'lost'
  /** Given a second time. */
  | 'repeated'
  /** An offset at or below one that was given before. */
  | 'out of order'
  /** Offsets left out, and no `gap` or `reset` said so; or a `gap` that does not begin where the member stands. */
  | 'unannounced gap'
  /** Two messages under one position. */
  | 'mixed';

export interface Fault {
  readonly kind: FaultKind;
  /** Who, which offsets, after which event. */
  readonly text: string;
}

export interface Verdict {
  readonly faults: readonly Fault[];
  readonly members: number;
  /** Acknowledged. */
  readonly messages: number;
  /** To all members together. */
  readonly delivered: number;
  readonly gaps: number;
  readonly resets: number;
  /** Acknowledged messages that some member was not given, and whose numbering ended for it with a `reset`. */
  readonly forgotten: readonly Acknowledged[];
  readonly longestSilenceMs: number;
}

/** A stretch of one numbering that a member was there for. */
interface Span {
  readonly epoch: string;
  /** It is owed what comes after this. */
  readonly after: number;
  upTo: number;
  end: 'open' | 'reset' | 'left';
}

/** `logs` of one room. */
export function check(acknowledged: readonly Acknowledged[], logs: readonly MemberLog[]): Verdict {
  const faults: Fault[] = [];
  const contents = new Contents(faults);
  for (const { epoch, offset, payload } of acknowledged)
    contents.note(epoch, offset, payload, 'its publisher');
  const forgotten = new Set<Acknowledged>();
  for (const log of logs) new MemberCheck(log, faults, contents).run(acknowledged, forgotten);
  return {
    faults,
    members: logs.length,
    messages: acknowledged.length,
    delivered: sum(logs, (log) => log.offsets.length),
    gaps: sum(logs, (log) => log.count('gap')),
    resets: sum(logs, (log) => log.count('reset')),
    forgotten: [...forgotten],
    longestSilenceMs: Math.max(0, ...logs.map((log) => log.longestSilenceMs)),
  };
}

/** Which message stands at which position, whoever says so first. */
class Contents {
  readonly #faults: Fault[];
  readonly #epochs = new Map<string, Map<number, { payload: number; by: string }>>();

  constructor(faults: Fault[]) {
    this.#faults = faults;
  }

  note(epoch: string, offset: number, payload: number, by: string): void {
    if (offset === 0) return;
    let known = this.#epochs.get(epoch);
    if (known === undefined) {
      known = new Map();
      this.#epochs.set(epoch, known);
    }
    const first = known.get(offset);
    if (first === undefined) known.set(offset, { payload, by });
    else if (first.payload !== payload) {
      const text = `${epoch}:${offset} is message ${payload} for ${by} and message ${first.payload} for ${first.by}`;
      this.#faults.push({ kind: 'mixed', text });
    }
  }
}

class MemberCheck {
  readonly #log: MemberLog;
  readonly #faults: Fault[];
  readonly #contents: Contents;
  readonly #spans: Span[] = [];
  readonly #gaps: { epoch: string; from: number; to: number }[] = [];
  readonly #given = new Set<number>();
  #lacking = 0;
  /** Since the last `reset`: what the new numbering holds may well be given again. */
  #givenInEpoch = new Set<number>();

  constructor(log: MemberLog, faults: Fault[], contents: Contents) {
    this.#log = log;
    this.#faults = faults;
    this.#contents = contents;
  }

  run(acknowledged: readonly Acknowledged[], forgotten: Set<Acknowledged>): void {
    const { offsets, payloads, marks } = this.#log;
    let next = 0;
    for (let i = 0; i <= offsets.length; i++) {
      for (; marks[next]?.at === i; next++) this.#event(marks[next]!.event, i);
      if (i < offsets.length) this.#message(offsets[i]!, payloads[i]!, i);
    }
    this.#settle(acknowledged, forgotten);
  }

  get #span(): Span | undefined {
    const span = this.#spans.at(-1);
    return span?.end === 'open' ? span : undefined;
  }

  #event(event: MemberEvent, at: number): void {
    const span = this.#span;
    if (event.kind === 'joined') {
      if (event.since === null) this.#begin(event.epoch, event.from ?? event.offset);
      else if (event.since[1] === 0 && event.epoch !== event.since[0]) this.#restart(event.epoch, 0);
      else if (event.recovered && event.epoch !== event.since[0]) {
        this.#fault(
          'unannounced gap',
          at,
          `recovered from ${event.since[0]} into another epoch, ${event.epoch}`,
        );
      }
    } else if (event.kind === 'reset') {
      this.#restart(event.epoch, event.offset);
    } else if (event.kind === 'left') {
      if (span) span.end = 'left';
    } else if (event.kind === 'gap' && span) {
      this.#passOwn(span, event.from);
      if (event.from !== span.upTo + 1 || event.to < event.from) {
        this.#fault(
          'unannounced gap',
          at,
          `a gap of ${event.from}..${event.to} for one who stands at ${span.upTo}`,
        );
      }
      this.#gaps.push({ epoch: span.epoch, from: event.from, to: event.to });
      span.upTo = Math.max(span.upTo, event.to);
    }
  }

  /** Another numbering: by a `reset`, or because who has seen no message takes the one that the node has. */
  #restart(epoch: string, offset: number): void {
    const span = this.#span;
    if (span) span.end = 'reset';
    this.#givenInEpoch = new Set();
    this.#begin(epoch, offset);
  }

  #begin(epoch: string, offset: number): void {
    this.#spans.push({ epoch, after: offset, upTo: offset, end: 'open' });
  }

  #message(offset: number, payload: number, at: number): void {
    const span = this.#span;
    if (span === undefined)
      return this.#fault('out of order', at, `offset ${offset} for one who is no member`);
    const stands = `offset ${offset} (message ${payload}) after ${span.upTo}`;
    this.#passOwn(span, offset);
    if (this.#givenInEpoch.has(payload)) this.#fault('repeated', at, stands);
    else if (offset <= span.upTo) this.#fault('out of order', at, stands);
    else if (offset > span.upTo + 1 && !this.#mayLack(offset - span.upTo - 1))
      this.#fault('unannounced gap', at, stands);
    this.#contents.note(span.epoch, offset, payload, this.#log.name);
    this.#givenInEpoch.add(payload);
    this.#given.add(payload);
    span.upTo = Math.max(span.upTo, offset);
  }

  /** What a member published and wanted no echo of is passed over. */
  #passOwn(span: Span, before: number): void {
    while (span.upTo + 1 < before && this.#log.isOwn(span.upTo + 1)) span.upTo++;
  }

  /** Some of its own messages may stand anywhere. */
  #mayLack(count: number): boolean {
    this.#lacking += count;
    return this.#lacking <= this.#log.mayLack;
  }

  #settle(acknowledged: readonly Acknowledged[], forgotten: Set<Acknowledged>): void {
    const lost = new Map<string, Acknowledged[]>();
    for (const message of acknowledged) {
      if (this.#given.has(message.payload) || this.#log.isOwn(message.offset)) continue;
      const fate = this.#fateOf(message);
      if (fate === 'forgotten') forgotten.add(message);
      else if (fate === 'lost') {
        const known = lost.get(message.epoch);
        if (known) known.push(message);
        else lost.set(message.epoch, [message]);
      }
    }
    for (const [epoch, messages] of lost) {
      for (const { offset, payload } of messages) {
        const all = `one of ${messages.length} of ${epoch}`;
        this.#fault('lost', this.#log.offsets.length, `offset ${offset} (message ${payload}), ${all}`);
      }
    }
  }

  #fateOf({ epoch, offset }: Acknowledged): 'lost' | 'forgotten' | 'not owed' {
    let wasThere = false;
    let fate: 'lost' | 'forgotten' | 'not owed' = 'not owed';
    for (const span of this.#spans) {
      if (span.epoch !== epoch) continue;
      wasThere = true;
      if (offset <= span.after) continue;
      const isNamed = this.#gaps.some((gap) => gap.epoch === epoch && gap.from <= offset && offset <= gap.to);
      if (isNamed) continue;
      if (offset <= span.upTo || span.end === 'open') return 'lost';
      if (span.end === 'reset') fate = 'forgotten';
    }
    if (wasThere) return fate;
    // An epoch that this member never saw: it came and went while a reset was on its way, or the member was not there.
    if (this.#spans.some(({ end }) => end === 'reset')) return 'forgotten';
    return this.#span === undefined ? 'not owed' : 'lost';
  }

  #fault(kind: FaultKind, at: number, what: string): void {
    this.#faults.push({ kind, text: `${this.#log.name} in ${this.#log.room}: ${what}, ${this.#around(at)}` });
  }

  /** The last event before a place in the log, in words. */
  #around(at: number): string {
    const mark = this.#log.marks.findLast((candidate) => candidate.at <= at);
    if (mark === undefined) return 'before it joined';
    return `${at - mark.at} messages after ${JSON.stringify(mark.event)}`;
  }
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}

/** Throws with the first faults of each kind in words. */
export function expectFlawless({ faults }: Verdict): void {
  if (faults.length === 0) return;
  const kinds = [...new Set(faults.map(({ kind }) => kind))];
  const lines = kinds.flatMap((kind) => {
    const ofKind = faults.filter((fault) => fault.kind === kind);
    return [`${ofKind.length} ${kind}:`, ...ofKind.slice(0, 8).map(({ text }) => `  ${text}`)];
  });
  throw new Error(`the members were not given what they should have been:\n${lines.join('\n')}`);
}

/** The figures of a run in one line. */
export function figures(title: string, verdict: Verdict, durationMs: number, more = ''): string {
  const count = (kind: FaultKind) => verdict.faults.filter((fault) => fault.kind === kind).length;
  const { members, messages, delivered, gaps, resets, forgotten, longestSilenceMs } = verdict;
  return [
    `[chaos] ${title}: members ${members}`,
    `messages ${messages}`,
    `deliveries ${delivered}`,
    `lost ${count('lost')}`,
    `repeated ${count('repeated')}`,
    `out of order ${count('out of order')}`,
    `unannounced ${count('unannounced gap')}`,
    `mixed ${count('mixed')}`,
    `gaps ${gaps}`,
    `resets ${resets} (${forgotten.length} messages named by them)`,
    `longest silence ${Math.round(longestSilenceMs)} ms`,
    `duration ${(durationMs / 1000).toFixed(1)} s`,
    ...(more === '' ? [] : [more]),
  ].join(', ');
}
