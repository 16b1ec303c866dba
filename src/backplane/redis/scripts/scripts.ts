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

export class Script {
  readonly #source: string;
  /** In hexadecimal. */
  readonly sha: string;

  /** `name` without its extension, in this folder. */
  constructor(name: string) {
    this.#source = readFileSync(new URL(`./${name}.lua`, import.meta.url), 'utf8');
    this.sha = createHash('sha1').update(this.#source).digest('hex');
  }

  async load(redis: Redis): Promise<void> {
    await redis.script('LOAD', this.#source);
  }

  /**
   * Replies are Buffers. A Redis that restarted or flushed its scripts has run nothing when it replies
   * NOSCRIPT, so calling again is safe, once.
   */
  call(
    redis: Redis,
    keys: readonly string[],
    args: readonly ScriptArgument[],
    metrics: BackplaneMetrics,
  ): Promise<unknown> {
    const words = [this.sha, keys.length, ...keys, ...args];
    return this.#loaded(redis, metrics, () => redis.callBuffer('evalsha', words));
  }

  /** Like `call`, with the EVALSHA written by the caller: see `publish-call.ts`. */
  callPacked(redis: Redis, bytes: Buffer, metrics: BackplaneMetrics): Promise<unknown> {
    return this.#loaded(
      redis,
      metrics,
      () => redis.sendCommand(new PackedCommand('evalsha', bytes)) as Promise<unknown>,
    );
  }

  async #loaded(redis: Redis, metrics: BackplaneMetrics, send: () => Promise<unknown>): Promise<unknown> {
    try {
      return await send();
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
      metrics.scriptReloaded();
      await this.load(redis);
      return send();
    }
  }
}

export const publishScript = new Script('publish');
export const historyScript = new Script('history');
export const newestScript = new Script('newest');
export const renewScript = new Script('renew');
export const ackScript = new Script('ack');
export const acksScript = new Script('acks');
export const clearScript = new Script('clear');
export const denyScript = new Script('deny');
export const denialsScript = new Script('denials');
export const presenceScript = new Script('presence');
export const membersScript = new Script('members');
export const leaseScript = new Script('lease');
export const claimScript = new Script('claim');
export const sweepScript = new Script('sweep');
export const forgetScript = new Script('forget');
export const releaseScript = new Script('release');
export const checkScript = new Script('check');

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
];
