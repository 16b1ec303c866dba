import type { Redis } from 'ioredis';
import type { Clock } from '../../../util/clock.ts';
import type { Logger } from '../../../util/log.ts';
import type { BackplaneMetrics } from '../../metrics.ts';
import type { Keys } from '../keys/keys.ts';

/** What all parts of presence work with. */
export interface PresenceParts {
  /** Exactly eight ASCII characters. */
  readonly nodeId: string;
  readonly redis: Redis;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: BackplaneMetrics;
  /** Rejects with a `BackplaneError`, at once while Redis is away. */
  ask<T>(work: () => Promise<T>): Promise<T>;
}
