import { existsSync, readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { type Capacity, OVERSIZE_BYTES } from '../../transport/capacity.ts';
import { type Finding, ok, warning } from './finding.ts';
import { bytes } from './units.ts';

const ABOUT = 'memory for messages';

/**
 * Whether memory suffices if every connection starts a message of the largest size and never finishes it.
 * `memoryBytes`: that of the machine, or of the container.
 */
export function checkReceiveMemory(
  { connections, unauthenticated }: Capacity,
  maxPayloadBytes: number,
  memoryBytes: number,
): Finding[] {
  const each = maxPayloadBytes + OVERSIZE_BYTES;
  const all = connections * each;
  const says = `${connections} connections with an unfinished message use ${bytes(all)}, ${unauthenticated} of them without a token ${bytes(unauthenticated * each)}, of ${bytes(memoryBytes)} in total`;
  if (all <= memoryBytes) return [ok(ABOUT, says)];
  const fitting = Math.max(1, Math.floor(memoryBytes / 2 / each));
  return [
    warning(
      ABOUT,
      says,
      `set websocket.maxConnections to what one node should hold (${fitting} use half of the memory), or lower websocket.maxPayloadBytes`,
    ),
  ];
}

/** Of the container if it has a limit, else of the machine. */
export function memoryBytes(): number {
  const limits = ['/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes'];
  const limited = limits.filter((path) => existsSync(path)).map(readLimit);
  return Math.min(totalmem(), ...limited);
}

/** `max` if there is none. */
function readLimit(path: string): number {
  try {
    return Number(readFileSync(path, 'utf8')) || Number.POSITIVE_INFINITY;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
