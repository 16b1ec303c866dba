/** A process that runs autocannon, controlled by its parent. Its plan is its argument, in JSON. */
import autocannon from 'autocannon';
import { nowUs } from '../../src/load/clock.ts';
import { Histogram, type Percentiles } from '../../src/load/histogram.ts';
import { HttpMessages, type MessagesPlan } from './http-messages.ts';

export interface CannonPlan {
  readonly url: string;
  /** Kept alive, with one request at a time on each. */
  readonly connections: number;
  /** What is posted; null for a GET. */
  readonly messages: MessagesPlan | null;
}

/**
 * This many requests, all answered; or as many as possible in this time, or this many a second, the last ones
 * cut off.
 */
export type Shot = { readonly requests: number } | { readonly seconds: number; readonly perSecond?: number };

export interface Volley {
  /** Answered with a 2xx. */
  readonly accepted: number;
  /** Answered with something else, or not at all. */
  readonly refused: number;
  readonly firstRefusal: string | null;
  /** From the first request to the last answer. */
  readonly seconds: number;
  /** User and system time of this process. */
  readonly cpuUs: number;
  readonly latencyUs: Percentiles;
}

const plan = JSON.parse(process.argv[2]!) as CannonPlan;
const publishers = Array.from({ length: plan.connections }, (_, i) =>
  plan.messages === null ? null : new HttpMessages(i, plan.messages),
);

function optionsOf(shot: Shot): autocannon.Options {
  const { url, connections } = plan;
  const extent = extentOf(shot);
  let next = 0;
  const setupClient = (client: autocannon.Client): void => {
    const publisher = publishers[next++ % connections]!;
    if (publisher !== null) client.setRequests([postOf(publisher)]);
  };
  // A run ends with a tick of its samples: by default it would wait a second. One request at a time:
  // uWebSockets.js closes a connection whose next request arrives before the last one is answered, and
  // autocannon counts such requests neither as answered nor as failed.
  return { url, connections, pipelining: 1, ...extent, setupClient, sampleInt: 50 };
}

function extentOf(shot: Shot): Partial<autocannon.Options> {
  if ('requests' in shot) return { amount: shot.requests };
  const { seconds, perSecond } = shot;
  return { duration: seconds, ...(perSecond === undefined ? {} : { overallRate: perSecond }) };
}

function postOf(publisher: HttpMessages): autocannon.Request {
  return {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    setupRequest: (request) => ({ ...request, body: publisher.next() }),
  };
}

/**
 * Does its own counting: autocannon's latencies are whole milliseconds, and its time has the resolution of
 * its ticks.
 */
class Count {
  accepted = 0;
  refused = 0;
  firstRefusal: string | null = null;
  readonly #latency = new Histogram();
  readonly #cpuBefore = process.cpuUsage();
  readonly #startUs = nowUs();
  #endUs = this.#startUs;

  answered(status: number, responseMs: number): void {
    this.#endUs = nowUs();
    this.#latency.record(responseMs * 1000);
    if (status >= 200 && status < 300) this.accepted++;
    else this.refuse(`a request was answered with ${status}`);
  }

  refuse(what: string): void {
    this.refused++;
    this.firstRefusal ??= what;
  }

  volley(): Volley {
    const { accepted, refused, firstRefusal } = this;
    const { user, system } = process.cpuUsage(this.#cpuBefore);
    const seconds = (this.#endUs - this.#startUs) / 1e6;
    const latencyUs = this.#latency.percentiles();
    return { accepted, refused, firstRefusal, seconds, cpuUs: user + system, latencyUs };
  }
}

function fire(shot: Shot): Promise<Volley> {
  return new Promise((resolve, reject) => {
    const count = new Count();
    const run = autocannon(optionsOf(shot), (error) => {
      if (error) reject(error);
      else resolve(count.volley());
    });
    run.on('response', (_client, status, _bytes, responseMs) => count.answered(status, responseMs));
    run.on('reqError', (error) => count.refuse(`a request failed: ${String(error)}`));
  });
}

process.on('message', (shot: Shot) => {
  fire(shot).then(
    (volley) => process.send?.(volley),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      process.exit(1);
    },
  );
});
process.on('disconnect', () => process.exit(0));
