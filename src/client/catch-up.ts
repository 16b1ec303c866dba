/** What a join has brought so far, and whether that was all. */
import type { Position } from '../protocol/frames.ts';
import type { Gap, Joined } from './room-events.ts';

export class CatchUp {
  readonly #target: Position;
  readonly #recovered: boolean;
  #missed = 0;
  #lost = 0;
  #wasReset = false;

  /** `target`: where the room stood when the join was answered. What comes up to there was missed. */
  constructor(target: Position, recovered: boolean) {
    this.#target = target;
    this.#recovered = recovered;
  }

  message(): void {
    this.#missed++;
  }

  gap({ from, to, reason }: Gap): void {
    if (reason === 'expired' || reason === 'forbidden') this.#lost += to - from + 1;
  }

  reset(): void {
    this.#wasReset = true;
  }

  /** Null: more is to come. `position`: where the client stands; null in rooms without history. */
  result(position: Position | null): Joined | null {
    const [epoch, offset] = this.#target;
    // In an epoch that is over: `reset` comes first.
    if (epoch !== '' && position?.[0] !== epoch && !this.#wasReset) return null;
    if (position?.[0] === epoch && position[1] < offset) return null;
    return { recovered: this.#recovered, missed: this.#missed, gap: this.#lost, reset: this.#wasReset };
  }
}
