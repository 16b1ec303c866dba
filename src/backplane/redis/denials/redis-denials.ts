/** Denials in Redis: one sorted set for the cluster. */
import type { Denial, DenialList, Denials } from '../../denials.ts';
import type { BackplaneMetrics } from '../../metrics.ts';
import type { Keys } from '../keys/keys.ts';
import type { ShardCalls } from '../link/shard-calls.ts';
import { denialsScript, denyScript } from '../scripts/scripts.ts';

export interface RedisDenialsParts {
  readonly shards: ShardCalls;
  readonly keys: Keys;
  /** Maximum entries at once. */
  readonly most: number;
  readonly metrics: BackplaneMetrics;
}

const STAGE = 'denials';
/** Denials read or restored in one call: during it Redis serves no one else. */
const READ_AT_ONCE = 1000;
const RESTORED_AT_ONCE = 1000;

/** A denial with its mark, as `deny.lua` keeps it. */
interface Entry {
  readonly text: string;
  /** Milliseconds since the Unix epoch, by Redis's clock. */
  readonly endMs: number;
}

/** Where a page begins: the end of its first entry ('': the first that has not come), and how many of that end it leaves out. */
interface Cursor {
  readonly from: number | '';
  readonly skipped: number;
}

const FIRST: Cursor = { from: '', skipped: 0 };

/** Null after the last page. */
function nextCursor({ from, skipped }: Cursor, entries: readonly Entry[]): Cursor | null {
  const last = entries.at(-1);
  if (last === undefined || entries.length < READ_AT_ONCE) return null;
  const same = entries.filter(({ endMs }) => endMs === last.endMs).length;
  return { from: last.endMs, skipped: last.endMs === from ? skipped + same : same };
}

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

  /** Page by page. What is denied or lifted meanwhile may be in it or not: nodes are told of that. */
  async read(): Promise<DenialList> {
    const denied: Denial[] = [];
    const lifted: string[] = [];
    let cursor: Cursor | null = FIRST;
    while (cursor !== null) {
      const { nowMs, entries } = await this.#page(cursor);
      for (const { text, endMs } of entries) {
        const subject = text.slice(1);
        if (text.startsWith('-')) lifted.push(subject);
        // On a later page some may have ended since.
        else if (endMs > nowMs) denied.push({ subject, leftMs: endMs - nowMs });
      }
      cursor = nextCursor(cursor, entries);
    }
    return { denied, lifted };
  }

  async #page({ from, skipped }: Cursor): Promise<{ nowMs: number; entries: Entry[] }> {
    const { shards, keys, metrics } = this.#parts;
    const args = [from, skipped, READ_AT_ONCE];
    const reply = await shards.askRead(
      null,
      (shard) => denialsScript.call(shard, [keys.denials()], args, metrics),
      STAGE,
    );
    const [nowMs, found] = reply as [Buffer, Buffer[]];
    const entries: Entry[] = [];
    for (let i = 0; i < found.length; i += 2) {
      entries.push({ text: String(found[i]), endMs: Number(found[i + 1]) });
    }
    return { nowMs: Number(nowMs), entries };
  }

  async restore(denials: readonly Denial[]): Promise<void> {
    for (let at = 0; at < denials.length; at += RESTORED_AT_ONCE) {
      await this.#write('restore', denials.slice(at, at + RESTORED_AT_ONCE));
    }
  }

  async #write(does: 'deny' | 'lift' | 'restore', denials: readonly Denial[]): Promise<boolean> {
    const { shards, keys, most, metrics } = this.#parts;
    const args = denials.flatMap(({ subject, leftMs }) => [subject, Math.ceil(leftMs)]);
    const reply = await shards.ask(
      null,
      (shard) => denyScript.call(shard, [keys.denials()], [does, most, ...args], metrics),
      STAGE,
    );
    return reply === 1;
  }
}
