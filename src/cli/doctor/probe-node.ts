/** Collects what a node answers to outside clients, without judging it. */
import { codeOrMessage } from '../../util/error-words.ts';
import type { ClockReading } from './clocks.ts';
import { probeSocket, type SocketFacts } from './probe-socket.ts';

export interface ProbeOptions {
  /** Path of the WebSocket endpoint. */
  readonly wsPath: string;
  /** Presented at the upgrade. */
  readonly token: string | null;
  /** For each request. */
  readonly timeoutMs: number;
  /** For the WebSocket, from the upgrade to the answer of a ping. */
  readonly socketTimeoutMs: number;
}

/** An HTTP answer, or why there was none. The body is cut off at some kilobytes. */
export type HttpFacts = { readonly status: number; readonly body: string } | { readonly failure: string };

export interface NodeFacts {
  /** As given by the caller, `http:` or `https:`. */
  readonly url: URL;
  readonly health: HttpFacts;
  readonly ready: HttpFacts;
  /** Version of Roomcast. Null if the node does not tell, as behind a proxy that hides /metrics. */
  readonly version: string | null;
  /** Rooms whose history does not cover a reconnect. Null as above. */
  readonly shortHistories: number | null;
  readonly clock: ClockReading | null;
  /** Null if the node could not be reached. */
  readonly socket: SocketFacts | null;
}

const MAX_BODY = 1_000_000;

/** Never rejects: failures are facts too. */
export async function probeNode(url: URL, options: ProbeOptions): Promise<NodeFacts> {
  const { timeoutMs, socketTimeoutMs, token, wsPath } = options;
  const get = (path: string) => ask(new URL(path, url), timeoutMs);
  const sentMs = Date.now();
  const health = await get('/healthz');
  const roundTripMs = Date.now() - sentMs;
  if ('failure' in health) {
    return { url, health, ready: health, version: null, shortHistories: null, clock: null, socket: null };
  }
  const [ready, metrics, socket] = await Promise.all([
    get('/readyz'),
    get('/metrics'),
    probeSocket({ url: new URL(wsPath, url), token, timeoutMs: socketTimeoutMs }),
  ]);
  return {
    url,
    health,
    ready,
    version: versionIn(metrics),
    shortHistories: shortHistoriesIn(metrics),
    clock: clockIn(url, health, sentMs, roundTripMs),
    socket,
  };
}

/** A member of a JSON body; undefined if the body is not a JSON object. */
export function memberOf(facts: HttpFacts, name: string): unknown {
  if ('failure' in facts || !facts.body.startsWith('{')) return undefined;
  try {
    return (JSON.parse(facts.body) as Record<string, unknown>)[name];
  } catch {
    // A proxy's page, or half of an answer: it has no members.
    return undefined;
  }
}

async function ask(url: URL, timeoutMs: number): Promise<HttpFacts> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs), redirect: 'manual' });
    return { status: response.status, body: (await response.text()).slice(0, MAX_BODY) };
  } catch (error) {
    return { failure: failureOf(error, timeoutMs) };
  }
}

/** `fetch` hides the actual error in its cause. */
function failureOf(error: unknown, timeoutMs: number): string {
  const { name, cause } = error as Error;
  if (name === 'TimeoutError') return `no answer within ${timeoutMs} ms`;
  return codeOrMessage(cause ?? error);
}

function versionIn(metrics: HttpFacts): string | null {
  if ('failure' in metrics || metrics.status !== 200) return null;
  return /^roomcast_build_info\{[^}]*\bversion="([^"]*)"/m.exec(metrics.body)?.[1] ?? null;
}

function shortHistoriesIn(metrics: HttpFacts): number | null {
  if ('failure' in metrics || metrics.status !== 200) return null;
  const value = /^roomcast_rooms_short_history (\d+)$/m.exec(metrics.body)?.[1];
  return value === undefined ? null : Number(value);
}

/** The node read its clock some time between the request and the answer. */
function clockIn(url: URL, health: HttpFacts, sentMs: number, roundTripMs: number): ClockReading | null {
  const time = memberOf(health, 'time');
  if (typeof time !== 'number') return null;
  return { whose: url.host, aheadMs: time - (sentMs + roundTripMs / 2), doubtMs: roundTripMs / 2 + 1 };
}
