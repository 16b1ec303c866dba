/** Denials in Redis: one sorted set for the cluster. */
import type { Redis } from 'ioredis';
import type { Denial, DenialList, Denials } from '../../denials.ts';
import type { BackplaneMetrics } from '../../metrics.ts';
import type { Keys } from '../keys/keys.ts';
import { denialsScript, denyScript } from '../scripts/scripts.ts';

export interface RedisDenialsParts {
  readonly redis: Redis;
  readonly keys: Keys;
  /** Maximum entries at once. */
  readonly most: number;
  readonly metrics: BackplaneMetrics;
  /** Runs a call unless Redis is known to be away; rejects with a `BackplaneError`. */
  readonly ask: <T>(work: () => Promise<T>) => Promise<T>;
  /** The link for long replies, and how to call it. */
  readonly reads: Redis;
  readonly askRead: <T>(work: () => Promise<T>) => Promise<T>;
}

/** Denials restored in one call: during it Redis serves no one else. */
const RESTORED_AT_ONCE = 1000;

export class RedisDenials implements Denials {
  readonly #parts: RedisDenialsParts;

  constructor(parts: RedisDenialsParts) {
    this.#parts = parts;
  }

  async deny(subject: string, forMs: number): Promise<boolean> {
    return this.#write('deny', [{ subject, leftMs: forMs }]);
  }

  async lift(subject: string, leftMs: number): Promise<void> {
    await this.#write('lift', [{ subject, leftMs }]);
  }

  async read(): Promise<DenialList> {
    const { reads, keys, metrics, askRead } = this.#parts;
    const reply = await askRead(() => denialsScript.call(reads, [keys.denials()], [], metrics));
    const entries = (reply as Buffer[]).map(String);
    const denied: Denial[] = [];
    const lifted: string[] = [];
    for (let i = 0; i < entries.length; i += 2) {
      const subject = entries[i]!.slice(1);
      if (entries[i]!.startsWith('-')) lifted.push(subject);
      else denied.push({ subject, leftMs: Number(entries[i + 1]) });
    }
    return { denied, lifted };
  }

  async restore(denials: readonly Denial[]): Promise<void> {
    for (let at = 0; at < denials.length; at += RESTORED_AT_ONCE) {
      await this.#write('restore', denials.slice(at, at + RESTORED_AT_ONCE));
    }
  }

  async #write(does: 'deny' | 'lift' | 'restore', denials: readonly Denial[]): Promise<boolean> {
    const { redis, keys, most, metrics, ask } = this.#parts;
    const args = denials.flatMap(({ subject, leftMs }) => [subject, Math.ceil(leftMs)]);
    const names = [keys.denials()];
    const reply = await ask(() => denyScript.call(redis, names, [does, most, ...args], metrics));
    return reply === 1;
  }
}
