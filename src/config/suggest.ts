/** Guesses what a misspelt name was meant to be. */

/**
 * The known name nearest to `unknown`, or null if none is near. Ignores case and punctuation, so that
 * `redis_url` finds `redis.url`.
 */
function nearest(unknown: string, known: Iterable<string>): string | null {
  const wanted = letters(unknown);
  let best: string | null = null;
  let bestDistance = Math.max(1, Math.floor(wanted.length / 4)) + 1;
  for (const name of known) {
    const distance = editDistance(wanted, letters(name));
    if (distance >= bestDistance) continue;
    best = name;
    bestDistance = distance;
  }
  return best;
}

/** ` — did you mean "x"?`, or an empty string. */
export function didYouMean(unknown: string, known: Iterable<string>): string {
  const name = nearest(unknown, known);
  return name === null ? '' : ` — did you mean "${name}"?`;
}

function letters(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '');
}

/** How many letters to insert, remove, replace or swap with a neighbour to turn one name into the other. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row[j] = Math.min(replaced, last[j]! + 1, row[j - 1]! + 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) row[j] = Math.min(row[j]!, beforeLast[j - 2]! + 1);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}
