/** The record of a partition's lineage, as `lineage.lua` stores it: one string, whose places scripts know. */
export interface LineageRecord {
  /** Replication id of the server on which the partition was last found. */
  readonly home: string;
  /** Of the process of that server. '' if it did not tell. */
  readonly runId: string;
  /** Which promotion numbered the partition's rooms: eight characters, or '' if there was none. */
  readonly lineage: string;
}

const ID_BYTES = 40;
const NO_ID = '0'.repeat(ID_BYTES);
const RECORD = /^([0-9a-f]{40})([0-9a-f]{40})([0-9a-z]{8})?$/;

export function writeRecord({ home, runId, lineage }: LineageRecord): string {
  return (home || NO_ID) + (runId || NO_ID) + lineage;
}

/** Null for what is no record: then it counts as missing. */
export function readRecord(text: string | null): LineageRecord | null {
  const [, home, runId, lineage = ''] = RECORD.exec(text ?? '') ?? [];
  if (home === undefined || runId === undefined) return null;
  return { home: home === NO_ID ? '' : home, runId: runId === NO_ID ? '' : runId, lineage };
}
