/** The conditions of a measurement: whether the machine was quiet, and what it cost the server. */
import type { RunningServer } from '../server/running-server.ts';
import { type MachineTime, machineTime, machineUse } from '../system/cpu.ts';

/** Above these, a run says more about the machine than about the server. */
const MAX_STOLEN = 0.03;
const MAX_OTHERS = 0.2;
/** How busy other processes may be when a trial starts, in cores. */
export const MAX_BUSY = 0.2;
/** How long a trial waits while they are busier. */
export const PATIENCE_MS = 60_000;

/** The cost of a period. */
export interface Cost {
  /** User and system time of the server's processes. */
  readonly serverUs: number;
  readonly redisUs: number;
  /** Of each master. Empty if there is no Redis. */
  readonly mastersUs: readonly number[];
  /** Why it does not count, or null. */
  readonly voidBecause: string | null;
}

/** Starts when made; `end` may be called once. */
export class Meter {
  readonly #server: RunningServer;
  readonly #startMs = performance.now();
  readonly #machine: MachineTime = machineTime();
  readonly #serverUs: number;
  readonly #mastersUs: readonly number[];
  readonly #benchUs = benchUs();

  constructor(server: RunningServer) {
    this.#server = server;
    this.#serverUs = server.cpuUs;
    this.#mastersUs = server.redisCpusUs;
  }

  /** `driverUs`: what the driver's processes used in this period, which is no disturbance. */
  end(driverUs: number): Cost {
    const seconds = (performance.now() - this.#startMs) / 1000;
    const serverUs = this.#server.cpuUs - this.#serverUs;
    const mastersUs = this.#server.redisCpusUs.map((us, i) => us - this.#mastersUs[i]!);
    const redisUs = mastersUs.reduce((sum, us) => sum + us, 0);
    const ownUs = serverUs + redisUs + driverUs + benchUs() - this.#benchUs;
    const { stolen, others } = machineUse(this.#machine, machineTime(), ownUs, seconds);
    return { serverUs, redisUs, mastersUs, voidBecause: whyVoid(stolen, others) };
  }
}

function whyVoid(stolen: number, others: number): string | null {
  if (stolen > MAX_STOLEN) return `the hypervisor took ${percent(stolen)}`;
  return others > MAX_OTHERS ? `other processes used ${percent(others)} of a core` : null;
}

/** Of this process, which starts the others and waits. */
function benchUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)}%`;
}
