import type {
  ClusterFacts,
  MasterFacts,
  ReplicaFacts,
} from '../../backplane/redis/cluster/inspect-cluster.ts';
import type { NamedAddresses } from '../../backplane/redis/cluster/named-addresses.ts';
import { isWrongCredentials } from '../../backplane/redis/link/redis-errors.ts';
import { codeOrMessage } from '../../util/error-words.ts';
import { type Finding, ok, problem, warning } from './finding.ts';

const ABOUT = 'redis cluster';
/** One can be lost, and the others still agree on who takes over. */
const ENOUGH_MASTERS = 3;

/** What the cluster is as a whole: whether everything has a master, and what the loss of one means. */
export function checkRedisCluster(facts: ClusterFacts): Finding[] {
  return [
    ...served(facts),
    ...facts.named.map(namedTwice),
    ...facts.masters.flatMap(checkMaster),
    ...facts.replicas.flatMap(checkReplica),
  ];
}

function served({ masters, lost, isDown }: ClusterFacts): Finding[] {
  const findings: Finding[] = [];
  if (isDown) {
    const advice = 'bring masters back until most of them reach each other; redis-cli cluster info has more';
    findings.push(problem(ABOUT, 'it says that it is down (cluster_state:fail)', advice));
  }
  if (lost > 0) {
    const says = `${lost} partitions have no master: their rooms are unavailable`;
    findings.push(problem(ABOUT, says, 'assign all slots: redis-cli --cluster fix <host>:<port>'));
  }
  const answering = masters.filter(({ found }) => !(found instanceof Error));
  const each = answering.map(({ address, partitions }) => `${address} has ${partitions}`).join(', ');
  if (answering.length > 0) findings.push(ok(ABOUT, `partitions by master: ${each}`));
  if (masters.length < ENOUGH_MASTERS) {
    const says = `only ${masters.length} of its masters have rooms: when one is lost there is no majority to replace it, unless others have slots too`;
    findings.push(warning(ABOUT, says, 'use three masters or more: redis-cli --cluster rebalance'));
  }
  return findings;
}

/** Nodes go by a server's own word first, and by that of others where its own leads nowhere. */
function namedTwice({ own, others }: NamedAddresses): Finding {
  const elsewhere = others.join(' and ');
  const says =
    own === null
      ? `the servers name one of them by different addresses: ${elsewhere}`
      : `the server that announces ${own} is named ${elsewhere} by others`;
  const advice =
    'if it stays, set its cluster-announce-ip and cluster-announce-port (with TLS cluster-announce-hostname, too) to what all servers and nodes reach';
  return warning(ABOUT, says, advice);
}

function checkMaster({ address, partitions, hasNodes, found }: MasterFacts): Finding[] {
  if (found instanceof Error) {
    const control = hasNodes ? ', and with it signals, presence and revocation of the whole cluster' : '';
    const says = `${address} does not answer: the rooms of its ${partitions} partitions are unavailable${control}`;
    const advice = 'start it, or see that its replica takes over: RoomcastShardDown in deploy/RUNBOOK.md';
    return [problem(ABOUT, says, advice)];
  }
  const findings: Finding[] = [];
  if (found.connectedReplicas === 0) {
    const says = `no replica follows ${address}: when it is lost, its rooms are unavailable until it is back`;
    const advice =
      'start the one that it had, or add one: redis-cli --cluster add-node <new> <any> --cluster-slave';
    findings.push(warning(ABOUT, says, advice));
  }
  if (found.needsFullCoverage === true) {
    const says = `${address} refuses everything while any slot has no master (cluster-require-full-coverage yes)`;
    const advice = 'set cluster-require-full-coverage no, so that the rooms of other masters go on';
    findings.push(warning(ABOUT, says, advice));
  }
  return findings;
}

/** What nodes would meet once it took over: servers share their data, but not their users. */
function checkReplica({ address, follows, found }: ReplicaFacts): Finding[] {
  if (!(found instanceof Error)) return [];
  const replica = `the replica ${address} of ${follows}`;
  if (isWrongCredentials(found)) {
    const says = `${replica} refuses the login of redis.url (${codeOrMessage(found)}): once it takes over, the rooms of ${follows} are unavailable`;
    return [problem(ABOUT, says, 'give every server the same user and password, replicas included')];
  }
  const says = `${replica} does not answer (${codeOrMessage(found)}): it cannot take over`;
  return [warning(ABOUT, says, 'start it, or redis-cli --cluster del-node if it is gone for good')];
}

/** What was found about each server, with what is true of all of them once. `each`: by address. */
export function together(each: ReadonlyMap<string, readonly Finding[]>): Finding[] {
  const whose = new Map<string, { readonly finding: Finding; readonly addresses: string[] }>();
  for (const [address, findings] of each) {
    for (const finding of findings) {
      const name = JSON.stringify(finding);
      const known = whose.get(name);
      if (known === undefined) whose.set(name, { finding, addresses: [address] });
      else known.addresses.push(address);
    }
  }
  return [...whose.values()].map(({ finding, addresses }) =>
    addresses.length === each.size || addresses.some((address) => finding.says.includes(address))
      ? finding
      : { ...finding, says: `${addresses.join(', ')}: ${finding.says}` },
  );
}
