import { readFileSync } from 'node:fs';
import { type Finding, ok, warning } from './finding.ts';

const ABOUT = 'kernel';
/** What uWebSockets.js asks for when it listens. */
const BACKLOG = 512;
/** Above it, it does nothing worth speaking of: the kernel's own default is 4 GiB. */
const USEFUL_LOWAT = 1_048_576;

/** Settings of Linux that decide how a node takes a crowd. Null: there is no such setting here. */
export interface KernelFacts {
  readonly somaxconn: number | null;
  readonly notsentLowat: number | null;
}

export function checkKernel({ somaxconn, notsentLowat }: KernelFacts): Finding[] {
  const findings: Finding[] = [];
  if (somaxconn !== null) {
    findings.push(
      somaxconn >= BACKLOG
        ? ok(ABOUT, `${somaxconn} connections may wait to be accepted (net.core.somaxconn)`)
        : warning(
            ABOUT,
            `only ${somaxconn} connections may wait to be accepted (net.core.somaxconn): a crowd that comes back at once is refused`,
            'sysctl -w net.core.somaxconn=4096; in a container, it is the container’s own setting',
          ),
    );
  }
  if (notsentLowat !== null && notsentLowat > USEFUL_LOWAT) {
    findings.push(
      ok(
        ABOUT,
        'the kernel may hold up to about 4 MB for each client that does not read',
        'sysctl -w net.ipv4.tcp_notsent_lowat=16384 makes that 0.2 MB',
      ),
    );
  }
  return findings;
}

/** Of the machine, or the container, that this runs in. */
export function kernelFacts(): KernelFacts {
  return {
    somaxconn: readNumber('/proc/sys/net/core/somaxconn'),
    notsentLowat: readNumber('/proc/sys/net/ipv4/tcp_notsent_lowat'),
  };
}

function readNumber(path: string): number | null {
  try {
    return Number(readFileSync(path, 'utf8'));
  } catch {
    // Not Linux, or a container that hides it: then there is nothing to say about it.
    return null;
  }
}
