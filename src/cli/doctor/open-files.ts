import { type Finding, ok, problem, warning } from './finding.ts';

const ABOUT = 'open files';
/** What a node opens besides connections: Redis, the listener, the event loop, logs, HTTP requests. */
const SPARE = 200;
/** Assumed if the number of connections is not given. */
const ASSUMED_CONNECTIONS = 10_000;

/**
 * Whether each connection can have its file descriptor. `limit`: what a Node process gets here, which raises
 * the soft limit to the hard one by itself; null if the system does not report one. `wanted`: connections a
 * node should hold, 0 if unknown.
 */
export function checkOpenFiles(limit: number | null, wanted: number): Finding[] {
  if (limit === null) return [];
  const connections = wanted > 0 ? wanted : ASSUMED_CONNECTIONS;
  const says = `a process may open ${limit} files, one per connection`;
  if (limit >= connections + SPARE) return [ok(ABOUT, says)];
  const advice = `raise the limit to ${connections + SPARE} or more: ulimit -n, LimitNOFILE= of systemd, ulimits.nofile of Compose`;
  if (wanted > 0) return [problem(ABOUT, `${says}, but ${wanted} connections are wanted`, advice)];
  return [warning(ABOUT, says, advice)];
}
