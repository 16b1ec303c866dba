/** CPU time as reported by the operating system. Linux only: everything comes from /proc. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** USER_HZ, the unit of /proc, is 100 on every Linux that Node runs on. */
const TICK_US = 10_000;

/** User and system time of a process, all its threads (also those that ended), in microseconds. */
export function processCpuUs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name, in brackets, may contain spaces: count fields after it. utime and stime are the 14th and 15th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_US;
}

/** Of all cores together, in microseconds since boot. */
export interface MachineTime {
  /** User, nice and system: what processes used. */
  readonly busyUs: number;
  /** Interrupts, hard and soft, where the kernel counts them apart from the process that they hit. */
  readonly interruptUs: number;
  /** Time that the hypervisor gave to others while there was work here. */
  readonly stolenUs: number;
  readonly totalUs: number;
}

export function machineTime(): MachineTime {
  const line = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]!;
  const ticks = line.split(/\s+/).slice(1, 9).map(Number);
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = ticks;
  return {
    busyUs: (user + nice + system) * TICK_US,
    interruptUs: (irq + softirq) * TICK_US,
    stolenUs: steal * TICK_US,
    totalUs: ticks.reduce((sum, count) => sum + count, 0) * TICK_US,
  };
}

/** What happened between two readings. */
export interface MachineUse {
  /** Share of all time that the hypervisor took. */
  readonly stolen: number;
  /** Time used by processes outside the bench, in cores. */
  readonly others: number;
}

export function machineUse(
  before: MachineTime,
  after: MachineTime,
  ownUs: number,
  seconds: number,
): MachineUse {
  const stolen = (after.stolenUs - before.stolenUs) / Math.max(1, after.totalUs - before.totalUs);
  const others = (after.busyUs - before.busyUs - ownUs) / (seconds * 1e6);
  return { stolen, others: Math.max(0, others) };
}

const GLANCE_MS = 400;

/**
 * Resolves with true once the machine has been nearly idle for a moment, or with false after `patienceMs`.
 */
export async function untilQuiet(maxBusyCores: number, patienceMs: number): Promise<boolean> {
  const deadline = performance.now() + patienceMs;
  while (performance.now() < deadline) {
    const before = machineTime();
    const startMs = performance.now();
    await sleep(GLANCE_MS);
    if (machineUse(before, machineTime(), 0, (performance.now() - startMs) / 1000).others < maxBusyCores)
      return true;
  }
  return false;
}
