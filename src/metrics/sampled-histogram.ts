/**
 * A histogram cheap enough for the hot path: a few number operations per observation and no allocation,
 * where prom-client's own hashes a label object each time. It is read when Prometheus scrapes.
 */
export class SampledHistogram {
  /** Upper bounds of the buckets, inclusive, ascending. A last bucket, +Inf, is implied. */
  readonly bounds: readonly number[];
  /**
   * One slot per bucket, the +Inf bucket, then the sum: one block of doubles, so that adding never allocates.
   */
  readonly #slots: Float64Array;

  constructor(bounds: readonly number[]) {
    for (let i = 1; i < bounds.length; i++) {
      if (!(bounds[i]! > bounds[i - 1]!)) throw new Error('histogram bounds must be ascending');
    }
    this.bounds = bounds;
    this.#slots = new Float64Array(bounds.length + 2);
  }

  /**
   * Negative values (clocks of two machines), NaN and infinity count as 0: they would corrupt the sum for
   * good.
   */
  observe(value: number): void {
    const counted = value > 0 && value < Number.POSITIVE_INFINITY ? value : 0;
    const { bounds } = this;
    const slots = this.#slots;
    let bucket = 0;
    while (bucket < bounds.length && counted > bounds[bucket]!) bucket++;
    slots[bucket]! += 1;
    slots[bounds.length + 1]! += counted;
  }

  get count(): number {
    let count = 0;
    for (let i = 0; i <= this.bounds.length; i++) count += this.#slots[i]!;
    return count;
  }

  get sum(): number {
    return this.#slots[this.bounds.length + 1]!;
  }

  /** For each bound and then +Inf, how many observations were at most that. */
  cumulative(): number[] {
    let below = 0;
    return Array.from({ length: this.bounds.length + 1 }, (_, i) => {
      below += this.#slots[i]!;
      return below;
    });
  }
}
