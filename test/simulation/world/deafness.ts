/** Nodes that do not hear a room, since Redis lost their subscription: only a message that does not arrive shows it to them. */
import type { Acknowledged } from '../../support/returning-client.ts';
import type { Loop, Owner } from './loop.ts';
import type { RedisLink } from './redis-link.ts';

/** A round of checks of the few rooms here, and some waiting. */
const ROUND_MS = 10_000;

interface Deaf {
  readonly link: RedisLink;
  readonly channel: string;
  readonly room: string;
  readonly sinceMs: number;
}

export class Deafness {
  readonly #loop: Loop;
  readonly #acknowledged: () => readonly (readonly Acknowledged[])[];
  readonly #isStoreTroubled: () => boolean;
  #all: Deaf[] = [];
  /** The last time that Redis was seen in trouble: no round of checks was whole before that. */
  #troubledAtMs = Number.NEGATIVE_INFINITY;

  /** `acknowledged`: what each publisher was told was stored, in the order of its answers. */
  constructor(
    loop: Loop,
    acknowledged: () => readonly (readonly Acknowledged[])[],
    isStoreTroubled: () => boolean,
  ) {
    this.#loop = loop;
    this.#acknowledged = acknowledged;
    this.#isStoreTroubled = isStoreTroubled;
  }

  begin(link: RedisLink, channel: string): void {
    const room = /\w+:\w+$/.exec(channel)?.[0] ?? '';
    this.#all.push({ link, channel, room, sinceMs: this.#loop.nowMs });
  }

  /** Whether it may miss what happens in some room, and cannot know it yet. Asked several times a second. */
  has(node: Owner): boolean {
    const { nowMs } = this.#loop;
    if (this.#isStoreTroubled()) this.#troubledAtMs = nowMs;
    if (this.#all.length === 0) return false;
    this.#all = this.#all.filter(
      (deaf) => deaf.link.isOpen && !deaf.link.hears(deaf.channel) && this.#roundEndsAtMs(deaf) > nowMs,
    );
    return this.#all.some(({ link }) => link.node === node);
  }

  #roundEndsAtMs(deaf: Deaf): number {
    return Math.max(this.#shownAtMs(deaf), this.#troubledAtMs) + ROUND_MS;
  }

  /** When the first message was stored that it did not hear. */
  #shownAtMs({ room, sinceMs }: Deaf): number {
    let shownAtMs = Number.POSITIVE_INFINITY;
    for (const acknowledged of this.#acknowledged()) {
      for (let at = acknowledged.length - 1; at >= 0; at--) {
        const message = acknowledged[at]!;
        if (message.ackedAtMs < sinceMs) break;
        if (message.room === room && message.sentAtMs >= sinceMs)
          shownAtMs = Math.min(shownAtMs, message.ackedAtMs);
      }
    }
    return shownAtMs;
  }
}
