/** Acks in Redis: one sorted set for each room and epoch. Acks of one turn share a call. */

import { EndOfTurn } from '../../../util/end-of-turn.ts';
import { systemScheduler } from '../../../util/scheduler.ts';
import type { Acked, AckOutcome, AckPage, AckReceipt, Acks, Start } from '../../acks.ts';
import { unavailable } from '../../backplane.ts';
import type { HistoryPolicy } from '../../history-policy.ts';
import type { BackplaneMetrics } from '../../metrics.ts';
import type { Keys } from '../keys/keys.ts';
import { errorFromReply, isNotRun } from '../link/redis-errors.ts';
import type { ShardAccess, ShardCalls } from '../link/shard-calls.ts';
import { ackScript, acksScript, type ScriptArgument } from '../scripts/scripts.ts';

export interface RedisAcksParts {
  readonly shards: ShardCalls;
  readonly keys: Keys;
  /** Life of a room's acks in milliseconds, from its last ack on. */
  readonly ttlMs: number;
  /** Life of the numbering of a room in which a user has a start, in milliseconds. */
  readonly metaTtlMs: number;
  readonly metrics: BackplaneMetrics;
  /** The room's current epoch. A room without one gets one with `begin`; otherwise it is ''. */
  readonly epochOf: (room: string, history: HistoryPolicy, begin: boolean) => Promise<string>;
}

interface Entry {
  readonly room: string;
  readonly epoch: string;
  readonly user: string;
  readonly offset: number;
}

/** Redis's reply to an entry; `newest` -1: its epoch is not the current one. */
interface Reply {
  readonly newest: number;
  /** -1: nothing is stored. */
  readonly kept: number;
  readonly isChanged: boolean;
}

interface Waiting {
  readonly entry: Entry;
  resolve(reply: Reply): void;
  reject(error: unknown): void;
}

const STAGE = 'acks';
/** Offsets that only read the stored one, or store the room's position: see `ack.lua`. */
const NOTHING = 0;
const NEWEST = -1;

/** An epoch as nodes make them: a client may send anything, and it becomes part of a key. */
const EPOCH = /^[0-9a-z]{8}$/;
/** Entries in one call: during it Redis serves no one else, for about 2 us an entry. */
const MAX_ENTRIES = 500;
/** Remembers epochs of this many rooms, then starts over. */
const KNOWN_EPOCHS = 10_000;
/** Instead of the newest offset: this entry alone failed. */
const FAILED = -2;
/** An epoch may end between its read and its use: retry this often. */
const TRIES = 3;

export class RedisAcks implements Acks {
  readonly #parts: RedisAcksParts;
  /**
   * The key contains the epoch, which must be known in advance: guessed from here, and corrected by the
   * reply.
   */
  readonly #epochs = new Map<string, string>();
  #waiting: Waiting[] = [];
  readonly #endOfTurn = new EndOfTurn(systemScheduler, () => this.#flush());

  constructor(parts: RedisAcksParts) {
    this.#parts = parts;
  }

  async ack(
    room: string,
    history: HistoryPolicy,
    user: string,
    [epoch, offset]: readonly [epoch: string, offset: number],
  ): Promise<AckReceipt> {
    if (EPOCH.test(epoch)) {
      const reply = await this.#send({ room, epoch, user, offset });
      if (reply.newest !== -1) {
        this.#remember(room, epoch);
        return { epoch, offset: orNull(reply.kept), outcome: outcomeOf(reply, offset) };
      }
    }
    return { ...(await this.get(room, history, user)), outcome: 'other_epoch' };
  }

  async get(room: string, history: HistoryPolicy, user: string): Promise<Acked> {
    const kept = (epoch: string) => this.#kept(room, epoch, user);
    return (await this.#inPresentEpoch(room, history, kept, true)) ?? UNNUMBERED;
  }

  async start(room: string, history: HistoryPolicy, user: string): Promise<Start> {
    const begun = async (epoch: string) => {
      const { newest, kept, isChanged } = await this.#send({ room, epoch, user, offset: NEWEST });
      return newest === -1 ? null : { epoch, offset: kept, isNew: isChanged };
    };
    return (await this.#inPresentEpoch(room, history, begun, true)) ?? { ...NOWHERE, isNew: false };
  }

  /** Null if that epoch has ended. */
  async #kept(room: string, epoch: string, user: string): Promise<Acked | null> {
    const { newest, kept } = await this.#send({ room, epoch, user, offset: NOTHING });
    return newest === -1 ? null : { epoch, offset: orNull(kept) };
  }

  async list(room: string, history: HistoryPolicy, from: number | null, limit: number): Promise<AckPage> {
    const { shards, keys, metrics } = this.#parts;
    const page = await this.#inPresentEpoch(room, history, async (epoch) => {
      const names = [keys.meta(room), keys.acks(room, epoch)];
      const read = (shard: ShardAccess) =>
        acksScript.call(shard, names, [epoch, from ?? '', limit, shard.lineageOf(room)], metrics);
      const reply = await shards.askRead(room, read, STAGE);
      const [newest, count, ...listed] = reply as [number, number, ...Buffer[]];
      return newest === -1 ? null : { epoch, offset: newest, count, users: pairs(listed) };
    });
    return page ?? { ...NOWHERE, count: 0, users: [] };
  }

  /**
   * Calls `work` with the room's presumed current epoch, and again if it returns null: then that epoch has
   * ended. Resolves with null for a room without numbering, which gets one with `begin`.
   */
  async #inPresentEpoch<T>(
    room: string,
    history: HistoryPolicy,
    work: (epoch: string) => Promise<T | null>,
    begin = false,
  ): Promise<T | null> {
    const guess = this.#epochs.get(room);
    const guessed = guess === undefined ? null : await work(guess);
    if (guessed !== null) return guessed;
    for (let i = 0; i < TRIES; i++) {
      const epoch = await this.#parts.epochOf(room, history, begin);
      if (epoch === '') return null;
      this.#remember(room, epoch);
      const answer = await work(epoch);
      if (answer !== null) return answer;
    }
    throw unavailable(STAGE, 'the room keeps starting new epochs');
  }

  #remember(room: string, epoch: string): void {
    if (this.#epochs.size >= KNOWN_EPOCHS) this.#epochs.clear();
    this.#epochs.set(room, epoch);
  }

  #send(entry: Entry): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#endOfTurn.request();
      this.#waiting.push({ entry, resolve, reject });
    });
  }

  #flush(): void {
    const all = this.#waiting;
    this.#waiting = [];
    for (const group of this.#parts.shards.grouped(all, ({ entry }) => entry.room)) {
      for (let at = 0; at < group.length; at += MAX_ENTRIES)
        void this.#call(group.slice(at, at + MAX_ENTRIES));
    }
  }

  /** One call for entries of any rooms of a shard. */
  async #call(all: readonly Waiting[]): Promise<void> {
    const { shards, keys, ttlMs, metaTtlMs, metrics } = this.#parts;
    const names = all.flatMap(({ entry: { room, epoch } }) => [keys.meta(room), keys.acks(room, epoch)]);
    try {
      const send = async (shard: ShardAccess) => {
        const args: ScriptArgument[] = [ttlMs, metaTtlMs];
        for (const { entry } of all)
          args.push(entry.epoch, entry.user, entry.offset, shard.lineageOf(entry.room));
        const reply = await ackScript.callMany(shard, names, args, metrics);
        // Of a slot that moves: alone it can be asked again, wherever that is.
        if (all.length === 1) throwIfNotRun(reply as (number | Buffer)[]);
        return reply;
      };
      const reply = (await shards.ask(all[0]!.entry.room, send, STAGE)) as (number | Buffer)[];
      all.forEach((waiting, i) => {
        const { resolve, reject } = waiting;
        const [newest, kept, changed] = reply.slice(i * 3, i * 3 + 3);
        if (newest === FAILED && isNotRun({ message: String(kept) })) void this.#call([waiting]);
        else if (newest === FAILED) reject(errorFromReply(String(kept), STAGE));
        else resolve({ newest: Number(newest), kept: Number(kept), isChanged: changed === 1 });
      });
    } catch (error) {
      for (const { reject } of all) reject(error);
    }
  }
}

function throwIfNotRun([newest, kept]: readonly (number | Buffer)[]): void {
  const message = String(kept);
  if (newest === FAILED && isNotRun({ message })) throw new Error(message);
}

const NOWHERE = { epoch: '', offset: 0 };
const UNNUMBERED: Acked = { epoch: '', offset: null };

function orNull(kept: number): number | null {
  return kept === -1 ? null : kept;
}

function outcomeOf({ newest, isChanged }: Reply, offset: number): AckOutcome {
  if (offset > newest) return 'beyond';
  return isChanged ? 'kept' : 'not_higher';
}

function pairs(listed: readonly Buffer[]): { user: string; offset: number }[] {
  const users: { user: string; offset: number }[] = [];
  for (let i = 0; i < listed.length; i += 2) {
    users.push({ user: listed[i]!.toString(), offset: Number(listed[i + 1]!.toString()) });
  }
  return users;
}
