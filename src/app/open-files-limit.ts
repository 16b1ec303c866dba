import { readFileSync } from 'node:fs';

/**
 * Maximum open files of this process: the soft limit, which Node raises to the hard one at start. Null on
 * Windows, and if there is no limit.
 */
export function openFilesLimit(): number | null {
  return limitIn(procLimits()) ?? reportedLimit();
}

/** `limits`: the text of `/proc/self/limits`. */
export function limitIn(limits: string): number | null {
  const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return soft === undefined ? null : Number(soft);
}

function procLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8');
  } catch {
    // Not Linux, or a container that hides it.
    return '';
  }
}

function reportedLimit(): number | null {
  const report = process.report.getReport() as { userLimits?: { open_files?: { soft?: unknown } } };
  const soft = report.userLimits?.open_files?.soft;
  return typeof soft === 'number' ? soft : Number(soft) || null;
}
