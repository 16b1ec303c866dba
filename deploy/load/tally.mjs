/** What all clients saw since the last line. */
export class Tally {
  opened = 0;
  failed = 0;
  acknowledged = 0;
  gaps = 0;
  resets = 0;
  /** Messages that did not follow the previous one, without a gap or reset: must stay 0. */
  misplaced = 0;
  #latencies = [];
  #refusals = new Map();
  #sinceMs = performance.now();

  arrived(latencyMs) {
    this.#latencies.push(latencyMs);
  }

  /** An error or a close, by its code. */
  refuse(code) {
    this.#refusals.set(code, (this.#refusals.get(code) ?? 0) + 1);
  }

  /** One line for people; then counting starts over. `misplaced` is kept: once is too often. */
  line(connections) {
    const seconds = (performance.now() - this.#sinceMs) / 1000;
    const latencies = this.#latencies.sort((a, b) => a - b);
    const at = (share) => (latencies[Math.floor(latencies.length * share)] ?? 0).toFixed(1);
    const perSecond = (total) => Math.round(total / seconds);
    const parts = [
      `${connections} connected`,
      `${this.opened} opened`,
      `${this.failed} failed`,
      `${perSecond(this.acknowledged)}/s acknowledged`,
      `${perSecond(latencies.length)}/s delivered`,
      `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`,
      `${this.gaps} gaps, ${this.resets} resets, ${this.misplaced} misplaced`,
      ...[...this.#refusals].map(([code, times]) => `${code} x ${times}`),
    ];
    this.#begin();
    return parts.join(' | ');
  }

  #begin() {
    this.opened = 0;
    this.failed = 0;
    this.acknowledged = 0;
    this.gaps = 0;
    this.resets = 0;
    this.#latencies = [];
    this.#refusals.clear();
    this.#sinceMs = performance.now();
  }
}
