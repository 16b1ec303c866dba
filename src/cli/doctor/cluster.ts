import type { Config } from '../../config/config.ts';
import { type Finding, ok, problem, warning } from './finding.ts';
import type { NodeFacts } from './probe-node.ts';

const ABOUT = 'cluster';

/** Whether the nodes form one cluster: they share a Redis, and run the same version. */
export function checkCluster(config: Config, nodes: readonly NodeFacts[]): Finding[] {
  return [...joined(config, nodes), ...versions(nodes)];
}

function joined({ redis }: Config, nodes: readonly NodeFacts[]): Finding[] {
  if (redis.url !== null) return [];
  if (nodes.length > 1) {
    return [
      problem(
        ABOUT,
        `no Redis is set: each of the ${nodes.length} nodes is a separate broker`,
        'set redis.url (ROOMCAST_REDIS_URL) to the same Redis on all of them',
      ),
    ];
  }
  return [
    ok(
      ABOUT,
      'no Redis is set: one node, in memory',
      'a restart loses history, and a second node needs redis.url',
    ),
  ];
}

function versions(nodes: readonly NodeFacts[]): Finding[] {
  const known = nodes.flatMap(({ url, version }) => (version === null ? [] : [{ host: url.host, version }]));
  const first = known[0];
  if (first === undefined || known.length < 2) return [];
  if (known.every(({ version }) => version === first.version)) {
    return [ok(ABOUT, `${known.length} nodes run version ${first.version}`)];
  }
  const each = known.map(({ host, version }) => `${host} ${version}`).join(', ');
  return [
    warning(ABOUT, `nodes run different versions: ${each}`, 'finish the roll-out, or roll all of them back'),
  ];
}
