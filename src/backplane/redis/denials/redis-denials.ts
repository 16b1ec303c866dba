/** Denials in Redis: two sorted sets for the cluster. */
import type { Denial, Denials } from '../../denials.ts';
import type { BackplaneMetrics } from '../../metrics.ts';
import type { Keys } from '../keys/keys.ts';
import type { ShardCalls } from '../link/shard-calls.ts';
import { denialsScript, denyScript, type ScriptArgument } from '../scripts/scripts.ts';

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
  /** The same; 0: not known. */
  readonly changedAtMs: number;
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

  async deny(subject: string, forMs: number, afterMs = 0): Promise<number | null> {
    const changedAtMs = await this.#write('deny', [subject, Math.ceil(forMs), afterMs]);
    return changedAtMs === 0 ? null : changedAtMs;
  }

  async lift(subject: string, leftMs: number, afterMs = 0): Promise<number> {
    return this.#write('lift', [subject, Math.ceil(leftMs), afterMs]);
  }

  /** Page by page. What is denied or lifted meanwhile may be in it or not: nodes are told of that. */
  async read(): Promise<readonly Denial[]> {
    const denials: Denial[] = [];
    let cursor: Cursor | null = FIRST;
    while (cursor !== null) {
      const { nowMs, entries } = await this.#page(cursor);
      for (const { text, endMs, changedAtMs } of entries) {
        // On a later page some may have ended since.
        if (endMs <= nowMs) continue;
        const isLifted = text.startsWith('-');
        denials.push({ subject: text.slice(1), leftMs: endMs - nowMs, isLifted, changedAtMs });
      }
      cursor = nextCursor(cursor, entries);
    }
    return denials;
  }

  async #page({ from, skipped }: Cursor): Promise<{ nowMs: number; entries: Entry[] }> {
    const { shards, metrics } = this.#parts;
    const args = [from, skipped, READ_AT_ONCE];
    const reply = await shards.askRead(
      null,
      (shard) => denialsScript.call(shard, this.#keys(), args, metrics),
      STAGE,
    );
    const [nowMs, found, times] = reply as [Buffer, Buffer[], Buffer[]];
    const entries = times.map((time, i) => ({
      text: String(found[2 * i]),
      endMs: Number(found[2 * i + 1]),
      changedAtMs: Number(time),
    }));
    return { nowMs: Number(nowMs), entries };
  }

  async restore(denials: readonly Denial[]): Promise<void> {
    for (let at = 0; at < denials.length; at += RESTORED_AT_ONCE) {
      const some = denials.slice(at, at + RESTORED_AT_ONCE);
      await this.#write('restore', some.flatMap(restored));
    }
  }

  #keys(): string[] {
    const { keys } = this.#parts;
    return [keys.denials(), keys.denialChanges()];
  }

  async #write(does: 'deny' | 'lift' | 'restore', args: readonly ScriptArgument[]): Promise<number> {
    const { shards, most, metrics } = this.#parts;
    const reply = await shards.ask(
      null,
      (shard) => denyScript.call(shard, this.#keys(), [does, most, ...args], metrics),
      STAGE,
    );
    return reply as number;
  }
}

function restored({ subject, leftMs, changedAtMs, isLifted }: Denial): ScriptArgument[] {
  return [subject, Math.ceil(leftMs), changedAtMs, isLifted ? '-' : '+'];
}
