import { type Finding, ok, problem, warning } from './finding.ts';

const ABOUT = 'open files';
/** What a node opens beside connections: Redis, the listener, the event loop, logs, HTTP requests. */
const SPARE = 200;
/** Where nobody said how many connections a node is to hold. */
const ASSUMED_CONNECTIONS = 10_000;

/**
 * Whether each connection can have its file descriptor. `limit`: what a process of Node gets here, which raises the soft limit to
 * the hard one by itself; null where the system has none to tell. `wanted`: connections a node is to hold, 0 where unknown.
 */
export function checkOpenFiles(limit: number | null, wanted: number): Finding[] {
  if (limit === null) return [];
  const connections = wanted > 0 ? wanted : ASSUMED_CONNECTIONS;
  const says = `a process may open ${limit} files, each connection is one`;
  if (limit >= connections + SPARE) return [ok(ABOUT, says)];
  const advice = `raise the limit to ${connections + SPARE} or more: ulimit -n, LimitNOFILE= of systemd, ulimits.nofile of Compose`;
  if (wanted > 0) return [problem(ABOUT, `${says}, and ${wanted} connections are wanted`, advice)];
  return [warning(ABOUT, says, advice)];
}
