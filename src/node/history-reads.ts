import type { Backplane } from '../backplane/backplane.ts';
import type { RoomRule } from '../config/room-rule.ts';
import type { HistoryResult, MessageFrame, Position } from '../protocol/frames.ts';
import { decodeMessageFrames } from '../protocol/message-frame.ts';

/** Bytes of message frames in one answer: a page of large messages is cut short, and the client reads on. */
const PAGE_BYTES = 1024 * 1024;

export interface HistoryReadsParts {
  readonly backplane: Backplane;
  readonly rule: (room: string) => RoomRule;
  /** Most messages in one answer. */
  readonly pageMessages: number;
}

/** Answers who asks for stored messages. */
export class HistoryReads {
  readonly #parts: HistoryReadsParts;

  constructor(parts: HistoryReadsParts) {
    this.#parts = parts;
  }

  /**
   * With `since`, the oldest messages after it; without, the newest ones. At most `limit`, oldest first. A position of an
   * epoch that is over counts as none of the present one: from the oldest. Rejects with `BackplaneError`.
   */
  async read(room: string, since: Position | null, limit: number | null): Promise<HistoryResult> {
    const { backplane, pageMessages } = this.#parts;
    const { history } = this.#parts.rule(room);
    const most = Math.min(limit ?? pageMessages, pageMessages);
    let after = since?.[1] ?? 0;
    // Without a position the newest are wanted, and where they begin is known from where the room stands.
    if (since === null)
      after = Math.max(0, (await backplane.read(room, history, { limit: 0 })).offset - most);
    let page = await backplane.read(room, history, { after, limit: most });
    if (since !== null && after > 0 && since[0] !== page.epoch) {
      after = 0;
      page = await backplane.read(room, history, { after, limit: most });
    }
    const messages: MessageFrame[] = [];
    let bytes = 0;
    for (const envelope of page.envelopes) {
      const frames = envelope.after(after);
      bytes += frames.length;
      if (messages.length > 0 && bytes > PAGE_BYTES) break;
      messages.push(...decodeMessageFrames(frames));
    }
    return { epoch: page.epoch, offset: page.offset, messages: messages.slice(0, most) };
  }
}
