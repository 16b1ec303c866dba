import { type WaitOptions, waitFor } from './wait.ts';

/**
 * For one answer. A port may accept connections and close them at once while nothing listens behind it, as those of containers do:
 * the first request of a Node.js process is then never settled.
 */
const ANSWER_MS = 2_000;

/** Resolves when `<url>/readyz` is answered with this status: of a node or a balancer. Rejects as `waitFor` does. */
export async function untilReadyz(url: string, wanted = 200, options: WaitOptions = {}): Promise<void> {
  const answersSo = async () => {
    const { status } = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(ANSWER_MS) });
    return status === wanted;
  };
  await waitFor(answersSo, { for: `${url}/readyz to answer ${wanted}`, ...options });
}
