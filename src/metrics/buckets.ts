/** Upper bounds of histogram buckets: shared sets, so that panels can overlay metrics. */

/** From a quarter of a millisecond, below which loopback is noise, to ten seconds. */
export const LATENCY_SECONDS: readonly number[] = [
  0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

/** How many things went into one batch. */
export const BATCH_COUNTS: readonly number[] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];
