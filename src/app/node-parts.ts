import type { NodeCore } from '../assembly/node-core.ts';
import type { Authenticator } from '../auth/identity.ts';
import type { Server } from '../transport/server.ts';
import type { Logger } from '../util/log.ts';
import type { AdmissionGate } from './admission-gate.ts';
import type { HttpAccess } from './http-access.ts';
import type { RedisTls } from './redis-tls.ts';
import type { Shutdown } from './shutdown.ts';
import type { TokenKeys } from './token-keys.ts';

/** The parts of a running node. */
export interface NodeParts extends NodeCore {
  readonly server: Server;
  /** Serves the metrics if they have their own address. */
  readonly metricsServer: Server | null;
  readonly authenticator: Authenticator | null;
  /** The keys behind `authenticator`. */
  readonly tokens: TokenKeys | null;
  /** Null without a `rediss:` URL. */
  readonly redisTls: RedisTls | null;
  readonly access: HttpAccess;
  readonly shutdown: Shutdown;
  readonly gate: AdmissionGate;
  readonly log: Logger;
}
