import type { Backplane } from '../backplane/backplane.ts';
import type { Config } from '../config/config.ts';
import type { Logger } from '../util/log.ts';

/** What a backplane of your own is given. */
export interface BackplaneParts {
  /** Of this node: `ID_BYTES` ASCII characters, new at each start. */
  readonly nodeId: string;
  readonly config: Config;
  readonly log: Logger;
}

/** Parts of a node that a program may bring along. */
export interface NodeExtensions {
  /** Makes the backplane, in place of the one that the configuration names. Called once. */
  readonly backplane?: (parts: BackplaneParts) => Backplane;
}
