/** Less than the time in which a node expects a connection's token. */
const TIMEOUT_MS = 4000;
/** A set of a hundred keys with certificates is a tenth of this. */
const MAX_BYTES = 1_048_576;

/** The parsed answer of a key server. Rejects with a sentence: its status, or the network error. */
export async function fetchKeySet(url: URL, request: typeof fetch): Promise<unknown> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const headers = { Accept: 'application/jwk-set+json, application/json' };
    // Keys come only from the configured URL, never from a redirect target.
    const response = await request(url, { headers, signal, redirect: 'manual' });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new Error(`it answered ${response.status} ${response.statusText}`.trim());
    }
    return parse(await textOf(response));
  } catch (error) {
    throw new Error(sentenceOf(error), { cause: error });
  }
}

async function textOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    if (size > MAX_BYTES) throw new Error(`its answer is larger than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error('its answer is not JSON', { cause });
  }
}

/** `fetch` says only that it failed; the reason is in the cause, or in the cause's causes. */
function sentenceOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return `no answer within ${TIMEOUT_MS} ms`;
  const { cause } = error;
  if (cause instanceof AggregateError) return sentenceOf(cause.errors[0]);
  return cause instanceof Error && error.message === 'fetch failed' ? sentenceOf(cause) : error.message;
}
