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
      let json = 0;
      for (const connection of node.hub.connections()) if (connection.readsText) json++;
      return { json, msgpack: node.hub.connectionCount - json };
    },
    unauthenticated: () => pendingAuth.count,
    connectionLimits: () => ({ all: capacity.connections, unauthenticated: capacity.unauthenticated }),
    rooms: () => node.hub.roomCount,
    memberships: () => node.hub.membershipCount,
    shortHistories: () => node.shortHistories,
    catchingUp: () => node.catchingUp,
    readsInFlight: () => node.reads.inFlight,
    readsWaiting: () => node.reads.waiting,
    backplaneReady: () => node.status().ready,
    draining: () => shutdown.isRunning,
  };
}
