import type { Authenticator } from '../auth/identity.ts';
import type { Connection } from '../connection/connection.ts';
import type { ConnectionContext } from '../connection/context.ts';
import type { Heartbeats } from '../connection/heartbeats.ts';
import type { NodeMetrics } from '../metrics/node-metrics.ts';
import type { BrokerNode } from '../node/broker-node.ts';
import type { Server } from '../transport/server.ts';
import type { Logger } from '../util/log.ts';
import type { AdmissionGate } from './admission-gate.ts';
import type { Shutdown } from './shutdown.ts';

/** The parts of a running node. */
export interface NodeParts {
  readonly node: BrokerNode;
  readonly server: Server;
  /** Serves the metrics if they have their own address. */
  readonly metricsServer: Server | null;
  readonly heartbeats: Heartbeats<Connection>;
  readonly authenticator: Authenticator | null;
  readonly context: ConnectionContext<Connection>;
  readonly shutdown: Shutdown;
  readonly gate: AdmissionGate;
  readonly metrics: NodeMetrics;
  readonly log: Logger;
}
