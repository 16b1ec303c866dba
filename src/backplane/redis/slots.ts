/** Redis Cluster's hash slots, and short hash tags that lie evenly over them. */

export const SLOTS = 16_384;

/** The slot of a hash tag: CRC16 (XMODEM) of its bytes. */
export function slotOf(tag: string): number {
  let crc = 0;
  for (let i = 0; i < tag.length; i++) {
    crc ^= tag.charCodeAt(i) << 8;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
    crc &= 0xffff;
  }
  return crc % SLOTS;
}

/**
 * One tag for each partition: the first one, counting in base 36, whose slot lies in that partition's equal share of
 * the slots. The same on every node and for ever, since stored keys depend on it.
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
