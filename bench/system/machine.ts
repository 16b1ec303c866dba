import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';

/** The machine that the figures were measured on; kept with the raw samples. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
  readonly redis: string;
  /** Connection tracking taxes every loopback send; see the README. */
  readonly connectionTracking: boolean;
  readonly takenAt: string;
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    redis: redisVersion(),
    connectionTracking: hasConnectionTracking(),
    takenAt: new Date().toISOString(),
  };
}

function redisVersion(): string {
  try {
    const text = execFileSync('redis-server', ['--version'], { encoding: 'utf8' });
    return /v=(\S+)/.exec(text)?.[1] ?? 'unknown';
  } catch {
    return 'none';
  }
}

/** Whether this network namespace tracks connections: a count of 0 means that nothing needs it. */
function hasConnectionTracking(): boolean {
  try {
    return Number(readFileSync('/proc/sys/net/netfilter/nf_conntrack_count', 'utf8')) > 0;
  } catch {
    return false;
  }
}
