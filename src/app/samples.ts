import { ENCODINGS, zeros } from '../metrics/labels.ts';
import type { Samples } from '../metrics/registry.ts';
import type { NodeParts } from './node-parts.ts';

/** Values read from the node at each scrape. */
export function samples({
  node,
  pendingAuth,
  shutdown,
  gate,
}: Pick<NodeParts, 'node' | 'pendingAuth' | 'shutdown' | 'gate'>): Samples {
  const { capacity } = gate;
  return {
    connections: () => {
      const open = zeros(ENCODINGS);
      for (const { encoding } of node.hub.connections()) open[encoding]++;
      return open;
    },
    unauthenticated: () => pendingAuth.count,
    connectionLimits: () => ({ all: capacity.connections, unauthenticated: capacity.unauthenticated }),
    unreadBytes: () => node.unreadBytes,
    revocations: () => node.revocations.counts,
    rooms: () => node.hub.roomCount,
    memberships: () => node.hub.membershipCount,
    shortHistories: () => node.shortHistories,
    trimmedEarly: () => node.trimmedEarly,
    keptOut: () => node.keptOut.keptOutCount,
    catchingUp: () => node.catchingUp,
    readsInFlight: () => node.reads.inFlight,
    readsWaiting: () => node.reads.waiting,
    backplaneReady: () => node.status().ready,
    draining: () => shutdown.isRunning,
  };
}
