import type { NodeCore } from '../assembly/node-core.ts';
import type { Config } from '../config/config.ts';
import { Admission } from '../transport/admission.ts';
import { type Capacity, capacity } from '../transport/capacity.ts';
import { Descriptors } from '../transport/descriptors.ts';
import { systemClock } from '../util/clock.ts';
import type { Logger } from '../util/log.ts';
import { openFilesLimit } from './open-files-limit.ts';
import type { Shutdown } from './shutdown.ts';

/** Decides whether one more connection is admitted. */
export interface AdmissionGate {
  readonly capacity: Capacity;
  readonly admission: Admission;
  readonly descriptors: Descriptors;
}

export function createAdmissionGate(
  config: Config,
  { node, pendingAuth }: Pick<NodeCore, 'node' | 'pendingAuth'>,
  shutdown: Shutdown,
  log: Logger,
): AdmissionGate {
  const limits = connectionLimits(config, log);
  const admission = new Admission({
    perSecond: config.acceptRate.perSecond,
    capacity: limits,
    openConnections: () => node.hub.connectionCount,
    unauthenticated: () => pendingAuth.count,
    isShuttingDown: () => shutdown.isRunning,
    clock: systemClock,
    log,
  });
  const descriptors = new Descriptors(limits.sockets, systemClock, log);
  return { capacity: limits, admission, descriptors };
}

function connectionLimits({ websocket }: Config, log: Logger): Capacity {
  const { maxConnections } = websocket;
  const limits = capacity(websocket, openFilesLimit());
  if (limits.connections < maxConnections) {
    log.warn(
      { maxConnections, limit: limits.connections },
      `websocket.maxConnections is ${maxConnections}, but the limit on open files allows ${limits.connections}: raise it (ulimit -n)`,
    );
  }
  return limits;
}
