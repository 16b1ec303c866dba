import { shownUrl } from '../../auth/key-set.ts';
import { fetchKeySet } from '../../auth/key-set-fetch.ts';
import { usableKeys } from '../../auth/key-set-keys.ts';
import type { Config } from '../../config/config.ts';
import { type Finding, ok, problem, warning } from './finding.ts';

const ABOUT = 'key set';

/** Fetches the token keys as a node would, from this machine. */
export async function checkKeySet({ auth }: Config, request: typeof fetch = fetch): Promise<Finding[]> {
  if (auth.jwksUrl === null) return [];
  const url = new URL(auth.jwksUrl);
  try {
    const { keys, algorithms, unusable } = usableKeys(await fetchKeySet(url, request));
    const fitting = auth.algorithms.filter((name) => algorithms.includes(name));
    if (auth.algorithms.length > 0 && fitting.length === 0) {
      const says = `none of its keys supports ${auth.algorithms.join(', ')}: every token will be refused`;
      return [problem(ABOUT, says, `set auth.algorithms to some of ${algorithms.join(', ')}, or remove it`)];
    }
    return [
      ok(ABOUT, `${shownUrl(url)} answers with ${keys.length} usable keys: ${algorithms.join(', ')}`),
      ...unusable.map((says) => warning(ABOUT, `a key cannot be used: ${says}`, 'publish a usable key')),
    ];
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return [
      problem(
        ABOUT,
        `cannot use ${shownUrl(url)}: ${reason}; clients get unavailable`,
        'correct auth.jwksUrl, or make the URL reachable from here',
      ),
    ];
  }
}
