/** What became of the messages of `pub`. */

export class Tally {
  acknowledged = 0;
  #taken = 0;
  #isOfLines = false;
  /** Those without an acknowledgement: on their way, or failed. Few, because only so many are on their way at once. */
  readonly #open = new Set<number>();

  /** The next message, which is on its way. `line`: null where there is only one message. */
  sent(line: number | null): void {
    this.#taken++;
    this.#isOfLines ||= line !== null;
    this.#open.add(line ?? 1);
  }

  acknowledge(line: number | null): void {
    this.acknowledged++;
    this.#open.delete(line ?? 1);
  }

  /** For people; null where the line about the failure says it all. `verb`: what a message that arrived was. */
  summary(verb = 'acknowledged'): string | null {
    if (!this.#isOfLines) return null;
    const total = `${this.acknowledged} of ${this.#taken} messages ${verb}`;
    if (this.#open.size === 0) return total;
    return `${total}; not ${verb}: line ${rangesOf([...this.#open].sort((one, other) => one - other))}`;
  }
}

/** `3-5, 9`. */
export function rangesOf(sorted: readonly number[]): string {
  const ranges: [first: number, last: number][] = [];
  for (const number of sorted) {
    const range = ranges.at(-1);
    if (range !== undefined && range[1] === number - 1) range[1] = number;
    else ranges.push([number, number]);
  }
  return ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(', ');
}
