/** Memory as reported by the operating system. Linux only. */
import { readFileSync } from 'node:fs';

/** Resident memory of a process, in bytes. */
export function processMemoryBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN) * 1024;
}
