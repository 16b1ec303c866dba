import type { RedisFacts } from '../../backplane/redis/start/inspect.ts';
import { type Finding, ok, problem, warning } from './finding.ts';

const ABOUT = 'redis server';
/** Three links per node, plus room for operators. */
const SPARE_CLIENTS = 50;

/** Its version, and whether nodes can write to it. */
export function checkRedisServer(facts: RedisFacts): Finding[] {
  const findings = [version(facts)];
  if (facts.role !== 'master') {
    findings.push(
      problem(
        ABOUT,
        `it is a replica (role ${facts.role}) and accepts no writes`,
        'point redis.url at the primary',
      ),
    );
  }
  const { maxClients, connectedClients } = facts;
  if (maxClients !== null && maxClients - connectedClients < SPARE_CLIENTS) {
    findings.push(
      warning(
        ABOUT,
        `${connectedClients} of ${maxClients} clients are connected`,
        'raise maxclients: each node needs three',
      ),
    );
  }
  return findings;
}

function version({ version, versionProblem }: RedisFacts): Finding {
  if (versionProblem === null) return ok(ABOUT, `version ${version}`);
  return problem(ABOUT, versionProblem, 'upgrade to Redis 7 or Valkey');
}
