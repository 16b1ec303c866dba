/** Uninvolved clients: members of a room, one publisher in it, and a health check. */
import WebSocket from 'ws';

/** 20 a second to 20 members: cheap when all is well. */
const EVERY_MS = 50;
const MEMBERS = 20;
const HEALTH_EVERY_MS = 200;
const HEALTH_TIMEOUT_MS = 8000;
/** Messages in flight when a phase ends still count if they arrive within this time. */
const DRAIN_MS = 5000;

/** One phase: before, during, or after. */
export interface Phase {
  published: number;
  /** Milliseconds, of each delivery. */
  readonly latencies: number[];
  /** Milliseconds, of each health check; failed ones count with their timeout. */
  readonly health: number[];
}

export interface Figures {
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Share of all due deliveries, 0 to 1. */
  readonly delivered: number;
  readonly healthMs: number;
}

export class Bystanders {
  readonly #urls: readonly string[];
  readonly #room = 'bystanders';
  readonly #sockets: WebSocket[] = [];
  #publisher: WebSocket | null = null;
  #phase: Phase = newPhase();
  #phases: Phase[] = [];
  #lastId = 0;
  /** Requests that were sent. */
  healthChecks = 0;
  #timers: NodeJS.Timeout[] = [];

  /** HTTP addresses of the nodes. The publisher and the health check use the first. */
  constructor(urls: readonly string[]) {
    this.#urls = urls;
  }

  async gather(): Promise<void> {
    const joined = Array.from({ length: MEMBERS }, (_, i) => this.#join(this.#urls[i % this.#urls.length]!));
    await Promise.all(joined);
    this.#publisher = await this.#connect(this.#urls[0]!);
    this.#timers = [
      setInterval(() => this.#publish(), EVERY_MS),
      setInterval(() => void this.#checkHealth(this.#phase), HEALTH_EVERY_MS),
    ];
  }

  /** Messages published from now on belong to the returned phase. */
  next(): Phase {
    this.#phase = newPhase();
    this.#phases.push(this.#phase);
    return this.#phase;
  }

  /** Waits for messages in flight, then returns the phase's result. */
  async figures(phase: Phase): Promise<Figures> {
    const due = phase.published * MEMBERS;
    const deadline = performance.now() + DRAIN_MS;
    while (phase.latencies.length < due && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return {
      p50Ms: quantile(phase.latencies, 0.5),
      p99Ms: quantile(phase.latencies, 0.99),
      delivered: due === 0 ? 0 : phase.latencies.length / due,
      healthMs: Math.max(0, ...phase.health),
    };
  }

  leave(): void {
    for (const timer of this.#timers) clearInterval(timer);
    for (const socket of this.#sockets) socket.terminate();
  }

  async #join(url: string): Promise<void> {
    const socket = await this.#connect(url);
    const joined = new Promise<void>((resolve) => {
      socket.on('message', (data) => {
        for (const line of data.toString().split('\n')) {
          const frame = JSON.parse(line) as unknown[];
          if (frame[0] === 'ok') resolve();
          if (frame[0] === 'message') this.#heard(frame[5] as { phase: number; atMs: number });
        }
      });
    });
    socket.send(JSON.stringify(['join', 1, this.#room]));
    await joined;
  }

  #heard({ phase, atMs }: { phase: number; atMs: number }): void {
    this.#phases[phase]?.latencies.push(performance.now() - atMs);
  }

  #publish(): void {
    if (this.#phases.length === 0 || this.#publisher === null) return;
    this.#phase.published++;
    const data = { phase: this.#phases.indexOf(this.#phase), atMs: performance.now() };
    this.#publisher.send(JSON.stringify(['publish', ++this.#lastId, this.#room, data]));
  }

  async #checkHealth(phase: Phase): Promise<void> {
    const beganAtMs = performance.now();
    this.healthChecks++;
    try {
      await fetch(`${this.#urls[0]!}/healthz`, { signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS) });
      phase.health.push(performance.now() - beganAtMs);
    } catch {
      phase.health.push(HEALTH_TIMEOUT_MS);
    }
  }

  #connect(url: string): Promise<WebSocket> {
    const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/ws`, 'roomcast.v1.json');
    this.#sockets.push(socket);
    return new Promise((resolve, reject) => {
      socket.once('open', () => resolve(socket));
      socket.on('error', reject);
    });
  }
}

function newPhase(): Phase {
  return { published: 0, latencies: [], health: [] };
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
