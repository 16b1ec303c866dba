import { Keys } from '../../../src/backplane/redis/keys/keys.ts';
import { KEY_PREFIX, PARTITIONS } from './settings.ts';

const names = new Keys(KEY_PREFIX, PARTITIONS);

/** Those that anything is in, the one of leases and denials among them. */
export const USED_SLOTS: readonly number[] = [
  names.slotOfNodes,
  ...Array.from({ length: PARTITIONS }, (_, i) => names.slotOfPartition(i)),
];
