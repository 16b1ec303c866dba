import type { Backplane } from '../../backplane/backplane.ts';
import type { Envelope } from '../../backplane/envelope.ts';
import type { RoomRule } from '../../config/room-rule.ts';
import type { Position } from '../../protocol/frames.ts';

/** Bytes of message frames in one answer: a page of large messages is cut short, and the client reads on. */
const PAGE_BYTES = 1024 * 1024;

export interface HistoryReadsParts {
  readonly backplane: Backplane;
  readonly rule: (room: string) => RoomRule;
  /** Maximum messages in one answer. */
  readonly pageMessages: number;
}

/** Stored messages, and the room's position. */
export interface HistoryRun {
  readonly epoch: string;
  readonly offset: number;
  /** Consecutive stored `message` frames: nothing decodes them on their way to a client. */
  readonly frames: Uint8Array;
  /** Bytes that were read to find them. */
  readonly cost: number;
}

/** Reads stored messages on request. */
export class HistoryReads {
  readonly #parts: HistoryReadsParts;

  constructor(parts: HistoryReadsParts) {
    this.#parts = parts;
  }

  /**
   * With `since`, the oldest messages after it; without, the newest ones. At most `limit`, oldest first. A
   * position of an ended epoch counts as the start of the current one. Rejects with `BackplaneError`.
   */
  async read(room: string, since: Position | null, limit: number | null): Promise<HistoryRun> {
    const { backplane, pageMessages } = this.#parts;
    const { history } = this.#parts.rule(room);
    const most = Math.min(limit ?? pageMessages, pageMessages);
    const options = { limit: most, bytes: PAGE_BYTES };
    if (since === null) {
      const { epoch, offset, envelopes } = await backplane.read(room, history, { ...options, newest: true });
      const { frames, cost } = runOf(envelopes, Math.max(0, offset - most), most);
      return { epoch, offset, frames, cost };
    }
    const [known, after] = since;
    let page = await backplane.read(room, history, { ...options, after });
    const wasted = costOf(page.envelopes);
    const isOver = after > 0 && known !== page.epoch;
    if (isOver) page = await backplane.read(room, history, options);
    const { frames, cost } = runOf(page.envelopes, isOver ? 0 : after, most);
    return { epoch: page.epoch, offset: page.offset, frames, cost: isOver ? cost + wasted : cost };
  }
}

/** At most `limit` messages after an offset, oldest first, as one run of frames. */
function runOf(
  envelopes: readonly Envelope[],
  after: number,
  most: number,
): Pick<HistoryRun, 'frames' | 'cost'> {
  const runs: Buffer[] = [];
  let left = most;
  for (const envelope of envelopes) {
    const from = Math.max(0, after - envelope.first + 1);
    const to = Math.min(envelope.count, from + left);
    if (to <= from) continue;
    runs.push(envelope.slice(from, to));
    left -= to - from;
  }
  return { frames: runs.length === 1 ? runs[0]! : Buffer.concat(runs), cost: costOf(envelopes) };
}

function costOf(envelopes: readonly Envelope[]): number {
  return envelopes.reduce((sum, { bytes }) => sum + bytes.length, 0);
}
