/**
 * Finds out whether a restarted server has all of its data. The server cannot tell, so each node looks for what it knows to be stored.
 * Rooms keep their numbering only if every node has found everything. If a node misses something, or does not answer in time, a new
 * lineage begins.
 */
import type { Clock } from '../../../util/clock.ts';
import { systemScheduler } from '../../../util/scheduler.ts';
import { unavailable } from '../../backplane.ts';
import { ID_BYTES } from '../../envelope.ts';
import type { BackplaneMetrics } from '../../metrics.ts';
import type { Keys } from '../keys/keys.ts';
import type { Peers } from '../link/peers.ts';
import { errorFromCall, isNotRun, isRefusedWrite } from '../link/redis-errors.ts';
import type { Replication } from '../link/replication.ts';
import { beatScript, type ScriptTarget } from '../scripts/scripts.ts';
import type { Evidence, Sight } from './evidence.ts';
import { readRecord } from './record.ts';
import type { Part } from './records.ts';

export interface WitnessesOptions {
  /** Exactly eight ASCII characters. */
  readonly nodeId: string;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly metrics: BackplaneMetrics;
  peers(): Peers;
}

/** A server, and the partition there whose keys are used. */
export interface Court extends ScriptTarget {
  readonly part: Part;
  readonly runId: string;
  isCurrent(): boolean;
}

export type Finding =
  /** Every node found everything. */
  | 'complete'
  /** Another node has decided meanwhile. */
  | 'decided'
  /** Nodes that did not answer: what they knew may be missing. */
  | { readonly silent: readonly string[] };

/** Links come back within two seconds of a server's start. Rooms wait for this. */
const WAIT_MS = 3_000;
const POLL_MS = 25;
/** Longer than a server is away. Those of dead nodes go by themselves. */
const BEAT_LIFE_MS = 24 * 60 * 60 * 1000;

export class Witnesses {
  readonly #options: WitnessesOptions;
  #beats = 0;

  constructor(options: WitnessesOptions) {
    this.#options = options;
  }

  /** Sends a beat to this run, and resolves when it is answered. If the server refuses it, nothing changes. */
  async beat(court: Court, evidence: Evidence): Promise<void> {
    const sentAtMs = this.#options.clock.nowMs();
    const { mark } = evidence;
    const key = this.#options.keys.beat(court.part, this.#options.nodeId);
    const number = ++this.#beats;
    if (await this.#write(court, key, number)) evidence.confirm({ key, number, sentAtMs }, mark);
  }

  /**
   * Why the server lacks something that this node knows of, or may lack what a node knew that is gone since the last beat. Null if it
   * lacks nothing.
   */
  async lack({ redis }: Court, { beat, sights }: Evidence): Promise<string | null> {
    if (beat === null) return 'this node had no time to note what was stored';
    if (this.#options.peers().departedAtMs > beat.sentAtMs) return 'a node was lost a moment before';
    const { keys } = this.#options;
    try {
      const [stored, ...metas] = await Promise.all([
        redis.get(beat.key),
        ...sights.map(({ room }) => redis.getBuffer(keys.meta(room))),
      ]);
      const number = Number(/^[0-9a-f]{40}:(\d+)$/.exec(String(stored))?.[1] ?? 0);
      if (number < beat.number) return 'it lacks a note of this node';
      const missing = sights.find((sight, i) => !hasStored(metas[i] as Buffer | null, sight));
      return missing === undefined ? null : `it lacks message ${missing.offset} of room ${missing.room}`;
    } catch (cause) {
      const error = errorFromCall(cause, 'connect');
      // The partition has moved, so what was written here cannot be looked up.
      if (isNotRun(error)) return 'the rooms moved meanwhile';
      throw error;
    }
  }

  /** Says that this node found everything, and waits for the others. Rejects with a `BackplaneError`. */
  async agree(court: Court): Promise<Finding> {
    const { keys, nodeId, peers } = this.#options;
    if (!(await this.#write(court, keys.beat(court.part, nodeId), ++this.#beats)))
      throw unavailable('connect', 'cannot find out what this Redis lacks while it refuses writes');
    const { nodes } = peers();
    return this.#until(court, async () => {
      const beats = await Promise.all(nodes.map((node) => court.redis.get(keys.beat(court.part, node))));
      return nodes.filter((_, i) => beats[i]?.startsWith(`${court.runId}:`) !== true);
    });
  }

  /** For a node that was not there before: waits for one that was. */
  othersDecide(court: Court): Promise<Finding> {
    const everyone = Promise.resolve(['those that knew it']);
    return this.#until(court, () => everyone);
  }

  async #until(court: Court, silent: () => Promise<readonly string[]>): Promise<Finding> {
    const { clock, keys } = this.#options;
    const endMs = clock.nowMs() + WAIT_MS;
    while (true) {
      const [record, left] = await Promise.all([court.redis.get(keys.lineage(court.part)), silent()]);
      if (!court.isCurrent()) throw unavailable('connect', 'the link was lost');
      if (readRecord(record)?.runId === court.runId) return 'decided';
      if (left.length === 0) return 'complete';
      if (clock.nowMs() >= endMs) return { silent: left };
      await new Promise<void>((resolve) => systemScheduler.after(POLL_MS, resolve));
    }
  }

  /** False if the server refuses writes for now. */
  async #write(court: Court, key: string, number: number): Promise<boolean> {
    try {
      await beatScript.call(court, [key], [`${court.runId}:${number}`, BEAT_LIFE_MS], this.#options.metrics);
      return true;
    } catch (cause) {
      const error = errorFromCall(cause, 'connect');
      if (isRefusedWrite(error.message.replace(/^redis: /, ''))) return false;
      throw error;
    }
  }
}

/** Nodes that have the same map take the same partition. */
export function courtOf(
  { redis, isCluster, isCurrent }: Omit<Court, 'part' | 'runId'>,
  { runId }: Replication,
  parts: readonly Part[],
): Court {
  const part = parts.includes(null) ? null : Math.min(...parts.map(Number));
  return { redis, isCluster, isCurrent, runId, part };
}

/** `publish.lua` describes the format. Another epoch may be one that was begun on purpose: nobody can tell. */
function hasStored(meta: Buffer | null, { epoch, offset }: Sight): boolean {
  if (meta === null || meta.length < ID_BYTES + 16) return false;
  return meta.toString('latin1', 0, ID_BYTES) === epoch && meta.readBigUInt64BE(ID_BYTES + 8) >= offset;
}
