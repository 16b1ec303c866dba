import { AckStats } from './acks.ts';
import { BackplaneStats } from './backplane.ts';
import { CommandStats, newErrorStats } from './commands.ts';
import { ConnectionStats } from './connections.ts';
import { HttpStats } from './http.ts';
import { newLimitStats } from './limits.ts';
import { MessageStats } from './messages.ts';
import { PresenceStats } from './presence.ts';
import { ReadStats } from './reads.ts';
import { RecoveryStats } from './recovery.ts';
import { TokenStats } from './tokens.ts';
import { TrafficStats } from './traffic.ts';

/**
 * Everything that one node counts: plain numbers on plain objects, incremented where things happen and read
 * when Prometheus scrapes (`createRegistry`).
 *
 * There is no no-op version, on purpose. An instance that no registry reads costs the same few additions,
 * which is less than a virtual call to a no-op; tests and embedders simply make one and ignore it.
 */
export class NodeMetrics {
  readonly connections = new ConnectionStats();
  readonly tokens = new TokenStats();
  readonly traffic = new TrafficStats();
  readonly commands = new CommandStats();
  readonly errors = newErrorStats();
  readonly limits = newLimitStats();
  readonly messages = new MessageStats();
  readonly recovery = new RecoveryStats();
  readonly reads = new ReadStats();
  readonly acks = new AckStats();
  readonly presence = new PresenceStats();
  readonly backplane = new BackplaneStats();
  readonly http = new HttpStats();
}
