import type { NodeCore } from '../assembly/node-core.ts';
import type { Config } from '../config/config.ts';
import { AddressLimits } from '../transport/address-limits.ts';
import { Admission } from '../transport/admission.ts';
import { type Capacity, capacity } from '../transport/capacity.ts';
import { Descriptors } from '../transport/descriptors.ts';
import { systemClock } from '../util/clock.ts';
import type { Logger } from '../util/log.ts';
import { openFilesLimit } from './open-files-limit.ts';
import type { Shutdown } from './shutdown.ts';

/** A node with fewer places is for trying things out. */
const MIN_SHARE = 100;

/** Decides whether one more connection is admitted. */
export interface AdmissionGate {
  readonly capacity: Capacity;
  readonly admission: Admission;
  readonly descriptors: Descriptors;
  readonly addressLimits: AddressLimits;
}

export function createAdmissionGate(
  config: Config,
  limits: Capacity,
  { node, pendingAuth, metrics }: Pick<NodeCore, 'node' | 'pendingAuth' | 'metrics'>,
  shutdown: Shutdown,
  addressLimits: AddressLimits,
  log: Logger,
): AdmissionGate {
  const admission = new Admission({
    perSecond: config.acceptRate.perSecond,
    capacity: limits,
    addresses: addressLimits,
    userFull: (user) => node.userFull(user),
    openConnections: () => node.hub.connectionCount,
    unauthenticated: () => pendingAuth.count,
    isShuttingDown: () => shutdown.isRunning,
    metrics,
    clock: systemClock,
    log,
  });
  const descriptors = new Descriptors(limits.sockets, systemClock, log);
  return { capacity: limits, admission, descriptors, addressLimits };
}

export function createAddressLimits({ limits }: Config, capacity: Capacity, log: Logger): AddressLimits {
  const connections = limits.connectionsPerAddress ?? shareOf(capacity.connections);
  return new AddressLimits({
    connections,
    sockets: limits.socketsPerAddress ?? socketsBeside(connections, capacity),
    socketsPerSecond: limits.addressSocketsPerSecond,
    socketBurst: limits.addressSocketBurst,
    upgradesPerSecond: limits.addressUpgradesPerSecond,
    upgradeBurst: limits.addressUpgradeBurst,
    requestsPerSecond: limits.addressRequestsPerSecond,
    requestBurst: limits.addressRequestBurst,
    limitsPrivate: limits.limitPrivateAddresses,
    clock: systemClock,
    log,
  });
}

/** Those of its connections, and half of what the node has for HTTP. */
function socketsBeside(connections: number, capacity: Capacity): number {
  return connections === 0 ? 0 : connections + Math.ceil((capacity.sockets - capacity.connections) / 2);
}

/** What one address, or one user, may have of the connections of a node, unless it is set. */
export function shareOf(connections: number): number {
  return Math.max(MIN_SHARE, Math.ceil(connections / 2));
}

export function connectionLimits({ websocket }: Config, log: Logger): Capacity {
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
