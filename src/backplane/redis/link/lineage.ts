/**
 * Whether a Redis may lack writes that its predecessor acknowledged. Replication is asynchronous: a promoted
 * replica continues from what it had, gives the numbers of lost messages to others, and cannot tell. So a
 * room that was numbered before the promotion gets a new epoch at its first use after it.
 */

/** Long enough that no two promotions of one cluster share it. */
const LINEAGE_BYTES = 8;

/**
 * From the reply to INFO: eight ASCII characters that change with each promotion, or '' for a server that was
 * not promoted since it started. A restarted server has what its own disk has, which is another matter.
 */
export function lineageOf(info: string): string {
  const replid = /^master_replid:([0-9a-f]{40})/m.exec(info)?.[1] ?? '';
  const before = /^master_replid2:([0-9a-f]{40})/m.exec(info)?.[1] ?? '';
  const since = Number(/^second_repl_offset:(-?\d+)/m.exec(info)?.[1] ?? -1);
  return since >= 0 && /[^0]/.test(before) ? replid.slice(0, LINEAGE_BYTES) : '';
}

/** From the reply to INFO: which process answered. Another one after each start; '' where a server does not tell. */
export function runOf(info: string): string {
  return /^run_id:(\S+)/m.exec(info)?.[1] ?? '';
}

/**
 * Whether the server follows another one: it may be promoted at any moment, and accepts no writes until then.
 */
export function isReplica(info: string): boolean {
  return /^role:slave/m.test(info);
}
