/** Members and publishers of one room, the load that they are under, and the judgement in the end. */
import type { Encoding } from '../../src/protocol/subprotocol.ts';
import { check, figures, type Verdict } from './checker.ts';
import type { MemberLog } from './member-log.ts';
import { type Acknowledged, ReturningClient, type ReturningOptions } from './returning-client.ts';
import { waitFor } from './wait.ts';

export interface CrowdOptions {
  readonly room: string;
  readonly urls: readonly string[];
  /** How many members begin on each of the URLs. */
  readonly members: readonly number[];
  /** Which of the URLs each publisher begins with. */
  readonly publishers: readonly number[];
  /** What each member does that others do not, by its number. */
  readonly member?: (number: number) => Pick<ReturningOptions, 'last' | 'resumesWith'>;
  /** From 0 up to 1. Default `Math.random`. */
  readonly random?: () => number;
}

/** A publisher's messages go out in ticks of this. */
const TICK_MS = 20;
/** Messages without an answer, of one publisher: with more, it waits. */
const MAX_UNANSWERED = 200;
/** One member in so many reads JSON. */
const JSON_EVERY = 8;
const CATCH_UP_MS = 60_000;
/** What takes longer has come to a halt, on whatever machine. The bench measures how long things take. */
export const HANGS_MS = 10_000;

/** No two messages of a test process have the same number. */
let lastPayload = 0;

export class Crowd {
  readonly room: string;
  readonly members: ReturningClient[] = [];
  readonly publishers: ReturningClient[] = [];
  readonly acknowledged: Acknowledged[] = [];
  readonly #options: CrowdOptions;
  readonly #failures: unknown[] = [];
  readonly #unanswered = new Map<ReturningClient, number>();
  readonly #beganAtMs = performance.now();
  #pending = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | null = null;

  private constructor(options: CrowdOptions) {
    this.#options = options;
    this.room = options.room;
  }

  /** Resolves when all members have joined. */
  static async gather(options: CrowdOptions): Promise<Crowd> {
    const crowd = new Crowd(options);
    options.members.forEach((count, first) => {
      for (let i = 0; i < count; i++) crowd.#add(first);
    });
    for (const first of options.publishers) {
      crowd.publishers.push(crowd.#client(`publisher ${crowd.publishers.length}`, first));
    }
    await Promise.all(crowd.members.map((member) => member.join(options.room)));
    return crowd;
  }

  get logs(): MemberLog[] {
    return this.members.map((member) => member.log(this.room));
  }

  #add(first: number): ReturningClient {
    const number = this.members.length;
    const encoding = number % JSON_EVERY === JSON_EVERY - 1 ? 'json' : 'msgpack';
    const more = this.#options.member?.(number) ?? {};
    const member = this.#client(`member ${number}`, first, encoding, more);
    this.members.push(member);
    return member;
  }

  #client(
    name: string,
    first: number,
    encoding: Encoding = 'msgpack',
    more: Partial<ReturningOptions> = {},
  ): ReturningClient {
    const { urls, random } = this.#options;
    return new ReturningClient({ name, urls, first, encoding, ...(random ? { random } : {}), ...more });
  }

  /** Has the publishers send this many messages a second, all together, until `quiet`. `data` follows a message's number. */
  publish(perSecond: number, ...data: readonly unknown[]): void {
    const beganAtMs = performance.now();
    let sent = 0;
    this.#timer = setInterval(() => {
      const due = Math.floor(((performance.now() - beganAtMs) / 1000) * perSecond);
      for (; sent < due; sent++) void this.say(this.publishers[sent % this.publishers.length]!, ...data);
    }, TICK_MS);
  }

  /** One message of a publisher, unless too many of its own have no answer. `data` follows the message's number. */
  say(publisher: ReturningClient, ...data: readonly unknown[]): Promise<void> {
    const unanswered = this.#unanswered.get(publisher) ?? 0;
    if (unanswered >= MAX_UNANSWERED) return Promise.resolve();
    this.#unanswered.set(publisher, unanswered + 1);
    const payload = ++lastPayload;
    const said = publisher
      .publish(this.room, data.length === 0 ? payload : [payload, ...data])
      .then((message) => void this.acknowledged.push(message))
      .catch((error: unknown) => void this.#failures.push(error))
      .finally(() => {
        this.#pending.delete(said);
        this.#unanswered.set(publisher, this.#unanswered.get(publisher)! - 1);
      });
    this.#pending.add(said);
    return said;
  }

  /** Resolves when that many messages more are acknowledged. */
  async heard(more: number, timeoutMs = 60_000): Promise<void> {
    const target = this.acknowledged.length + more;
    await waitFor(() => this.acknowledged.length >= target, {
      timeoutMs,
      for: `${more} more messages to be acknowledged`,
    });
  }

  /** Ends the load; resolves when all that was sent is acknowledged. */
  async quiet(timeoutMs = 30_000): Promise<void> {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
    await waitFor(() => this.#pending.size === 0, { timeoutMs, for: 'everything to be acknowledged' });
    if (this.#failures.length > 0) throw this.#failures[0];
  }

  /** Sends one last message, waits until every member has it, judges, and prints the figures. */
  async conclude(title: string, more: (verdict: Verdict) => string = () => ''): Promise<Verdict> {
    await this.quiet();
    const durationMs = performance.now() - this.#beganAtMs;
    await this.say(this.publishers[0]!);
    const { epoch, offset } = this.acknowledged.at(-1)!;
    const isThere = ({ position }: MemberLog) => position?.[0] === epoch && position[1] >= offset;
    try {
      await waitFor(() => this.logs.every(isThere), { timeoutMs: CATCH_UP_MS, intervalMs: 50 });
    } catch {
      // The checker says better than a timeout what is missing.
      const late = this.members.filter((member) => !isThere(member.log(this.room)));
      for (const { name, isConnected, stoppedBy } of late.slice(0, 5)) {
        console.error(
          `${name} is not at ${epoch}:${offset}: connected ${isConnected}, stopped by ${stoppedBy}`,
        );
      }
    }
    const verdict = check(this.acknowledged, this.logs);
    console.log(figures(title, verdict, durationMs, more(verdict)));
    return verdict;
  }

  /**
   * The time within which 99 of 100 messages arrived, in ms after they were sent: those acknowledged from the `first` on,
   * at the members in question.
   */
  p99Ms(members: readonly ReturningClient[], first: number, last = this.acknowledged.length): number {
    const sentAtMs = new Map(
      this.acknowledged.slice(first, last).map((message) => [message.payload, message.sentAtMs] as const),
    );
    const latencies: number[] = [];
    for (const member of members) {
      const { payloads, atMs } = member.log(this.room);
      payloads.forEach((payload, i) => {
        const sent = sentAtMs.get(payload);
        if (sent !== undefined) latencies.push(atMs[i]! - sent);
      });
    }
    latencies.sort((a, b) => a - b);
    return latencies[Math.floor(latencies.length * 0.99)] ?? 0;
  }

  /** Publishes that were answered with an error. */
  refused(): number {
    let refused = 0;
    for (const { answers } of this.publishers) {
      for (const [outcome, { count }] of answers) if (outcome !== 'ok') refused += count;
    }
    return refused;
  }

  /** For people, and to be held against `HANGS_MS` or the length of an outage. */
  slowestAnswerMs(): number {
    const all = this.publishers.flatMap(({ answers }) => [...answers.values()]);
    return Math.max(...all.map(({ slowestMs }) => slowestMs));
  }

  /** How publishes were answered, in words. */
  answers(): string {
    const counts: Record<string, number> = {};
    for (const { answers } of this.publishers) {
      for (const [outcome, { count }] of answers) counts[outcome] = (counts[outcome] ?? 0) + count;
    }
    const slowest = `slowest answer ${Math.round(this.slowestAnswerMs())} ms`;
    return [...Object.entries(counts).map(([outcome, count]) => `${outcome} ${count}`), slowest].join(', ');
  }

  async disperse(): Promise<void> {
    if (this.#timer) clearInterval(this.#timer);
    await Promise.all([...this.members, ...this.publishers].map((client) => client.close()));
  }
}
