import type { Backplane } from '../backplane/backplane.ts';
import type { Config } from '../config/config.ts';
import type { Logger } from '../util/log.ts';

/** What your own backplane is given. */
export interface BackplaneParts {
  /** Id of this node: `ID_BYTES` ASCII characters, new at each start. */
  readonly nodeId: string;
  readonly config: Config;
  readonly log: Logger;
}

/** Parts of a node that a program may replace. */
export interface NodeExtensions {
  /** Makes the backplane, instead of the configured one. Called once. */
  readonly backplane?: (parts: BackplaneParts) => Backplane;
}
