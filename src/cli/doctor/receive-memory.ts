import { existsSync, readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { type Capacity, OVERSIZE_BYTES } from '../../transport/capacity.ts';
import { type Finding, ok, warning } from './finding.ts';
import { bytes } from './units.ts';

const ABOUT = 'memory for messages';

/**
 * Whether memory is enough when every connection has begun a message of the largest size and does not end it. `memoryBytes`: what
 * the machine, or the container, has.
 */
export function checkReceiveMemory(
  { connections, unauthenticated }: Capacity,
  maxPayloadBytes: number,
  memoryBytes: number,
): Finding[] {
  const each = maxPayloadBytes + OVERSIZE_BYTES;
  const all = connections * each;
  const says = `${connections} connections that begin a message and do not end it hold ${bytes(all)}, ${unauthenticated} of them without a token ${bytes(unauthenticated * each)}; there are ${bytes(memoryBytes)}`;
  if (all <= memoryBytes) return [ok(ABOUT, says)];
  const fitting = Math.max(1, Math.floor(memoryBytes / 2 / each));
  return [
    warning(
      ABOUT,
      says,
      `set websocket.maxConnections to what one node is to hold (${fitting} take half of the memory), or lower websocket.maxPayloadBytes`,
    ),
  ];
}

/** Of the container where it has a limit, else of the machine. */
export function memoryBytes(): number {
  const limits = ['/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes'];
  const limited = limits.filter((path) => existsSync(path)).map(readLimit);
  return Math.min(totalmem(), ...limited);
}

/** `max` where there is none. */
function readLimit(path: string): number {
  try {
    return Number(readFileSync(path, 'utf8')) || Number.POSITIVE_INFINITY;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
