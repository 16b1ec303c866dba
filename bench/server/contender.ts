import type { DialectName } from '../driver/worker.ts';

/** Where a server finds what it needs. */
export interface Surroundings {
  readonly port: number;
  /** '' where it uses none. */
  readonly redisUrl: string;
  /** The built broker. */
  readonly roomcastMain: string;
}

/** What a row of the table needs to be started. */
export interface Contender {
  /** The name of its row. */
  readonly name: string;
  /** What it is, for the table's legend. */
  readonly what: string;
  /** How the driver speaks to it. */
  readonly dialect: DialectName;
  readonly usesRedis: boolean;
  /** The program and its arguments, without Node's own. */
  arguments(surroundings: Surroundings): readonly string[];
  readonly env: Readonly<Record<string, string>>;
}
