import { type Audience, Driver, type Phase } from '../driver/driver.ts';
import type { LoadPlan } from '../driver/load.ts';
import type { Contender } from '../server/contender.ts';
import { RunningServer, type ServerOptions } from '../server/running-server.ts';
import { type MachineUse, machineTime, machineUse, untilQuiet } from '../system/cpu.ts';

/** One question put to every row: who listens, and what is sent. */
export interface Shape {
  readonly name: string;
  readonly what: string;
  readonly audience: Audience;
  readonly load: LoadPlan;
}

export interface TrialOptions extends ServerOptions {
  readonly warmUpSeconds: number;
  readonly seconds: number;
}

/** One row, once. */
export interface Trial {
  readonly shape: string;
  readonly row: string;
  readonly phase: Phase;
  /** User and system time of the server's process in the phase. */
  readonly serverUs: number;
  readonly redisUs: number;
  readonly machine: MachineUse;
  /** The driver's core was full: its rates and latencies are the driver's, not the server's. What the server paid stands. */
  readonly driverBound: boolean;
  /** Why the run does not count at all, or null. */
  readonly voidBecause: string | null;
}

/** Above these, a run says more about the driver or the machine than about the server. The driver's core has Redis too. */
const MAX_DRIVER_SHARE = 0.9;
const MAX_STOLEN = 0.03;
const MAX_OTHERS = 0.2;
/** How long a trial is held back while others are busy. */
const PATIENCE_MS = 60_000;

/** Starts a server, fills it with members, warms it up, measures, and takes it all down again. */
export async function runTrial(contender: Contender, shape: Shape, options: TrialOptions): Promise<Trial> {
  const { cores, warmUpSeconds, seconds } = options;
  await untilQuiet(MAX_OTHERS, PATIENCE_MS);
  const server = await RunningServer.start(contender, options);
  try {
    const target = { host: '127.0.0.1', port: server.port };
    const driver = await Driver.open(target, contender.dialect, shape.audience, cores.drivers);
    try {
      await driver.run(shape.load, warmUpSeconds);
      return await measure(contender, shape, server, driver, seconds);
    } finally {
      await driver.close();
    }
  } catch (error) {
    throw new Error(`${contender.name}, ${shape.name}: ${(error as Error).message} ${server.output}`, {
      cause: error,
    });
  } finally {
    await server.stop();
  }
}

/** Nothing is in flight before and after, so that what is counted is what was paid for. */
async function measure(
  contender: Contender,
  shape: Shape,
  server: RunningServer,
  driver: Driver,
  seconds: number,
): Promise<Trial> {
  const startMs = performance.now();
  const before = { machine: machineTime(), server: server.cpuUs, redis: server.redisCpuUs, bench: benchUs() };
  const phase = await driver.run(shape.load, seconds);
  const serverUs = server.cpuUs - before.server;
  const redisUs = server.redisCpuUs - before.redis;
  const ownUs = serverUs + redisUs + phase.driverUs + benchUs() - before.bench;
  const machine = machineUse(before.machine, machineTime(), ownUs, (performance.now() - startMs) / 1000);
  const driverBound = phase.driverShare + redisUs / (phase.seconds * 1e6) > MAX_DRIVER_SHARE;
  const figures = { phase, serverUs, redisUs, machine, driverBound, voidBecause: whyVoid(machine) };
  return { shape: shape.name, row: contender.name, ...figures };
}

function whyVoid(machine: MachineUse): string | null {
  if (machine.stolen > MAX_STOLEN) return `the hypervisor took ${percent(machine.stolen)}`;
  if (machine.others > MAX_OTHERS) return `other processes used ${percent(machine.others)} of a core`;
  return null;
}

/** Of this process, which starts the others and waits. */
function benchUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)}%`;
}
