/** What a server is started with. */
export interface Surroundings {
  readonly port: number;
  /** '' where it uses none. */
  readonly redisUrl: string;
  /** The built broker. */
  readonly roomcastMain: string;
}

/** How to start a row of the table. */
export interface Contender {
  /** The name of its row. */
  readonly name: string;
  /** What it is, for the table's legend. */
  readonly what: string;
  /** URL of the module with its protocol, as the driver speaks it; see `Dialect`. */
  readonly dialect: string;
  readonly usesRedis: boolean;
  /** Its Redis is a cluster of so many masters. Default: a single one. */
  readonly redisMasters?: number;
  /** Processes that serve, all on the server's core, with one Redis. 1 if not given. */
  readonly nodes?: number;
  /** The program and its arguments: Node's own, if it is one of Node's, begin with the script. */
  arguments(surroundings: Surroundings): readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /**
   * What it accepts over HTTP: `plain` like the control rows, `json` like Roomcast's server API. Nothing if
   * not given.
   */
  readonly http?: 'plain' | 'json';
  /** Why it cannot run here, in a line, or null. */
  unavailable?(): string | null;
}
