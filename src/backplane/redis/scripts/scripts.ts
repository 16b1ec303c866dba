/** The Lua scripts, called by their hash and sent again if Redis does not know them. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Command, type Redis } from 'ioredis';
import type { BackplaneMetrics } from '../../metrics.ts';

export type ScriptArgument = string | Buffer | number;

/** A whole command as bytes. ioredis spends most of its time on encoding one argument after the other. */
class PackedCommand extends Command {
  readonly #bytes: Buffer;

  constructor(name: string, bytes: Buffer) {
    super(name, [], { replyEncoding: null });
    this.#bytes = bytes;
  }

  override toWritable(): Buffer {
    return this.#bytes;
  }
}

/** Where a script runs. */
export interface ScriptTarget {
  readonly redis: Redis;
  /** It is part of a Redis Cluster. */
  readonly isCluster: boolean;
}

/** A script as Redis knows it. */
interface Form {
  readonly source: string;
  readonly sha: string;
}

/**
 * Begins a script that gets the names of its keys after its other arguments, then how many they are. Redis Cluster refuses a call
 * whose declared keys lie in several slots, whoever has them, and lets a script use any key of its server. On one line, so that the
 * numbers of lines in errors stay.
 */
const UNDECLARED =
  'local KEYS, ARGV = {}, ARGV; do local n = #ARGV; local count = tonumber(ARGV[n]); ARGV[n] = nil; ' +
  'for i = 1, count do local at = n - 1 - count + i; KEYS[i], ARGV[at] = ARGV[at], nil end end ';

export class Script {
  readonly #source: string;
  /** On a single Redis, in hexadecimal. */
  readonly sha: string;
  /** The forms for Redis Cluster: with declared keys, which lie in one slot, and with undeclared ones of any slots of a server. */
  readonly #ofOneSlot: Form;
  readonly #ofManySlots: Form;
  readonly #carriesRooms: boolean;

  /** `name` without its extension, in this folder. `carriesRooms`: one call may carry many, see `callMany`. */
  constructor(name: string, carriesRooms = false) {
    this.#source = readFileSync(new URL(`./${name}.lua`, import.meta.url), 'utf8');
    this.sha = createHash('sha1').update(this.#source).digest('hex');
    // Channels of a cluster are sharded, or every server would get every message. Some lines are for clusters alone.
    const sharded = this.#source
      .replaceAll('--@cluster ', '')
      .replaceAll("'PUBLISH'", "'SPUBLISH'")
      .replaceAll("'NUMSUB'", "'SHARDNUMSUB'")
      .replaceAll('pubsub|numsub', 'pubsub|shardnumsub');
    this.#ofOneSlot = formOf(sharded);
    this.#ofManySlots = formOf(UNDECLARED + sharded);
    this.#carriesRooms = carriesRooms;
  }

  /** That `call` names. */
  shaOf({ isCluster }: Pick<ScriptTarget, 'isCluster'>): string {
    return isCluster ? this.#ofOneSlot.sha : this.sha;
  }

  /** What `callPacked` has to name. */
  shaOfMany({ isCluster }: Pick<ScriptTarget, 'isCluster'>): string {
    return isCluster ? this.#ofManySlots.sha : this.sha;
  }

  async load({ redis, isCluster }: ScriptTarget): Promise<void> {
    await redis.script('LOAD', isCluster ? this.#ofOneSlot.source : this.#source);
    if (isCluster && this.#carriesRooms) await redis.script('LOAD', this.#ofManySlots.source);
  }

  /**
   * All keys have one hash tag. Replies are Buffers. A Redis that restarted or flushed its scripts has run nothing when it replies
   * NOSCRIPT, so calling again is safe, once.
   */
  call(
    target: ScriptTarget,
    keys: readonly string[],
    args: readonly ScriptArgument[],
    metrics: BackplaneMetrics,
  ): Promise<unknown> {
    const words = [this.shaOf(target), keys.length, ...keys, ...args];
    return this.#loaded(target, metrics, () => target.redis.callBuffer('evalsha', words));
  }

  /** Like `call`, for keys of any rooms of the server. */
  callMany(
    target: ScriptTarget,
    keys: readonly string[],
    args: readonly ScriptArgument[],
    metrics: BackplaneMetrics,
  ): Promise<unknown> {
    if (!target.isCluster) return this.call(target, keys, args, metrics);
    const words = [this.#ofManySlots.sha, 0, ...args, ...keys, keys.length];
    return this.#loaded(target, metrics, () => target.redis.callBuffer('evalsha', words));
  }

  /** Like `callMany`, with the EVALSHA written by the caller: see `publish-call.ts`. */
  callPacked(target: ScriptTarget, bytes: Buffer, metrics: BackplaneMetrics): Promise<unknown> {
    return this.#loaded(
      target,
      metrics,
      () => target.redis.sendCommand(new PackedCommand('evalsha', bytes)) as Promise<unknown>,
    );
  }

  async #loaded(
    target: ScriptTarget,
    metrics: BackplaneMetrics,
    send: () => Promise<unknown>,
  ): Promise<unknown> {
    try {
      return await send();
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
      metrics.scriptReloaded();
      await this.load(target);
      return send();
    }
  }
}

function formOf(source: string): Form {
  const hash = createHash('sha1');
  return { source, sha: hash.update(source).digest('hex') };
}

export const publishScript = new Script('publish', true);
export const historyScript = new Script('history');
export const newestScript = new Script('newest');
export const renewScript = new Script('renew');
export const ackScript = new Script('ack', true);
export const acksScript = new Script('acks');
export const clearScript = new Script('clear');
export const denyScript = new Script('deny');
export const denialsScript = new Script('denials');
export const presenceScript = new Script('presence', true);
export const membersScript = new Script('members');
export const leaseScript = new Script('lease');
export const claimScript = new Script('claim');
export const sweepScript = new Script('sweep');
export const forgetScript = new Script('forget');
export const releaseScript = new Script('release');
export const checkScript = new Script('check');
export const lineageScript = new Script('lineage');
export const beatScript = new Script('beat');

/** The scripts that a node loads when it starts. */
export const ALL_SCRIPTS: readonly Script[] = [
  publishScript,
  historyScript,
  newestScript,
  renewScript,
  ackScript,
  acksScript,
  clearScript,
  denyScript,
  denialsScript,
  presenceScript,
  membersScript,
  leaseScript,
  claimScript,
  sweepScript,
  forgetScript,
  releaseScript,
  checkScript,
  lineageScript,
  beatScript,
];
