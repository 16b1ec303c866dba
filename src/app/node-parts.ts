import type { NodeCore } from '../assembly/node-core.ts';
import type { TokenAuthenticator } from '../auth/authenticator.ts';
import type { Server } from '../transport/server.ts';
import type { Logger } from '../util/log.ts';
import type { AdmissionGate } from './admission-gate.ts';
import type { HttpAccess } from './http-access.ts';
import type { RedisTls } from './redis-tls.ts';
import type { Shutdown } from './shutdown.ts';

/** The parts of a running node. */
export interface NodeParts extends NodeCore {
  readonly server: Server;
  /** Serves the metrics if they have their own address. */
  readonly metricsServer: Server | null;
  /** Checks the signatures of tokens, with keys that may be loaded anew; null if no authentication is configured. */
  readonly tokens: TokenAuthenticator | null;
  /** Null without a `rediss:` URL. */
  readonly redisTls: RedisTls | null;
  readonly access: HttpAccess;
  readonly shutdown: Shutdown;
  readonly gate: AdmissionGate;
  readonly log: Logger;
}
