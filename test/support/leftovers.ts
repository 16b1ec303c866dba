/**
 * Ends what tests left running. A test file ends its own processes; but where the runner kills a worker that took too long,
 * nothing in that worker gets to do so. Each process that tests start is noted by pid in a folder of this run.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const VARIABLE = 'TEST_PROCESS_NOTES';

/** Notes a process of this run. `mark` is part of its command line, by which it is told from one that has its pid later. */
export function noteProcess(pid: number, mark: string): void {
  const folder = process.env[VARIABLE];
  if (folder !== undefined) writeFileSync(join(folder, String(pid)), mark);
}

/** Called by the runner before all tests; what it returns, after them. */
export default function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'roomcast-test-'));
  process.env[VARIABLE] = folder;
  return () => {
    for (const pid of readdirSync(folder)) endIfOurs(Number(pid), readFileSync(join(folder, pid), 'utf8'));
    rmSync(folder, { recursive: true, force: true });
  };
}

function endIfOurs(pid: number, mark: string): void {
  let commandLine: string;
  try {
    commandLine = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    // It has ended, as it should; or this is no Linux, and there is no telling.
    return;
  }
  if (commandLine.includes(mark)) process.kill(pid, 'SIGKILL');
}
