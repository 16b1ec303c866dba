import type { Clock } from '../../../util/clock.ts';
import type { Logger } from '../../../util/log.ts';
import type { BackplaneMetrics } from '../../metrics.ts';
import type { Keys } from '../keys/keys.ts';
import type { ShardCalls } from '../link/shard-calls.ts';

/** The stage of their errors. */
export const STAGE = 'presence';

/** What all parts of presence work with. */
export interface PresenceParts {
  /** Exactly eight ASCII characters. */
  readonly nodeId: string;
  readonly shards: ShardCalls;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: BackplaneMetrics;
}
