import { type Audience, Driver } from '../../src/load/driver.ts';
import type { Contender } from '../server/contender.ts';
import { RunningServer } from '../server/running-server.ts';
import { untilQuiet } from '../system/cpu.ts';
import { MAX_BUSY, PATIENCE_MS } from './conditions.ts';
import type { BenchOptions } from './scenario.ts';

/** What a trial works with: a fresh server, and a driver that has not connected yet. */
export interface Stage {
  readonly server: RunningServer;
  readonly driver: Driver;
  /** Another driver with another audience; closed at the end if not before. */
  startDriver(audience: Audience): Promise<Driver>;
}

/** Waits for a quiet machine, starts server and driver, and stops both whatever the outcome of `work`. */
export async function onServer<Result>(
  contender: Contender,
  audience: Audience,
  options: BenchOptions,
  work: (stage: Stage) => Promise<Result>,
): Promise<Result> {
  await untilQuiet(MAX_BUSY, PATIENCE_MS);
  const server = await RunningServer.start(contender, options);
  const drivers: Driver[] = [];
  const startDriver = async (audience: Audience): Promise<Driver> => {
    const dialect = { module: contender.dialect, options: { payloadBytes: audience.payloadBytes } };
    const driver = await Driver.start({
      targets: server.targets,
      dialect,
      audience,
      cores: options.cores.drivers,
    });
    drivers.push(driver);
    return driver;
  };
  try {
    return await work({ server, driver: await startDriver(audience), startDriver });
  } catch (error) {
    throw new Error(`${contender.name}: ${(error as Error).message} ${server.output}`, { cause: error });
  } finally {
    await Promise.all(drivers.map((driver) => driver.close()));
    await server.stop();
  }
}
