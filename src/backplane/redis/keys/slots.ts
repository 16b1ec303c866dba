/** Redis Cluster's hash slots, and short hash tags spread evenly over them. */
import slotOf from 'cluster-key-slot';

export { slotOf };

export const SLOTS = 16_384;

/**
 * One tag for each partition: the first one, counting in base 36, whose slot is in that partition's equal
 * share of the slots. The same on every node and forever, since stored keys depend on it.
 */
export function tagsOverSlots(partitions: number): string[] {
  const tags = new Array<string | undefined>(partitions);
  let missing = partitions;
  for (let candidate = 0; missing > 0; candidate++) {
    const tag = candidate.toString(36);
    const partition = Math.floor((slotOf(tag) * partitions) / SLOTS);
    if (tags[partition] !== undefined) continue;
    tags[partition] = tag;
    missing--;
  }
  return tags as string[];
}
