import { readFileSync } from 'node:fs';
import { type Finding, ok, warning } from './finding.ts';

const ABOUT = 'kernel';
/** The backlog that uWebSockets.js asks for when it listens. */
const BACKLOG = 512;
/** Above this it has little effect: the kernel's own default is 4 GiB. */
const USEFUL_LOWAT = 1_048_576;

/** Linux settings that decide how a node handles a crowd. Null: the setting does not exist here. */
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
            `only ${somaxconn} connections may wait to be accepted (net.core.somaxconn): clients that reconnect all at once are refused`,
            'sysctl -w net.core.somaxconn=4096; in a container, set it for the container',
          ),
    );
  }
  if (notsentLowat !== null && notsentLowat > USEFUL_LOWAT) {
    findings.push(
      ok(
        ABOUT,
        'the kernel may buffer up to about 4 MB for each client that does not read',
        'sysctl -w net.ipv4.tcp_notsent_lowat=16384 reduces that to 0.2 MB',
      ),
    );
  }
  return findings;
}

/** Of the machine, or of the container, that this runs in. */
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
    // Not Linux, or a container that hides it: nothing to report.
    return null;
  }
}
