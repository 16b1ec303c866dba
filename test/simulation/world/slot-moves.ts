/** Moves slots of a simulated cluster with their keys, one after the other, as `redis-cli --cluster reshard` does: step by step. */
import type { Random } from '../../support/random.ts';
import type { ClusterServer } from '../redis/cluster/cluster-server.ts';
import type { SimulatedCluster } from './simulated-cluster.ts';
import type { World } from './world.ts';

export interface SlotMove {
  readonly world: World;
  readonly cluster: SimulatedCluster;
  readonly random: Random;
  readonly source: ClusterServer;
  readonly target: ClusterServer;
  /** All of them have moved. */
  readonly over: () => void;
}

/** How long a step takes: an answer of a server, mostly. */
const STEP_MS = 3;
const SLOW_STEP_MS = 60;

export function moveSlot(move: SlotMove, slots: readonly number[]): void {
  const { cluster, source, target } = move;
  const [slot, ...others] = slots;
  if (slot === undefined) return move.over();
  cluster.moves(slot, target);
  const keysAtOnce = move.random.pick([1, 3, 100]);
  const setSlot = (server: ClusterServer, ...words: string[]) =>
    server.run('cluster', ['SETSLOT', String(slot), ...words]);
  const bystanders = () =>
    cluster.servers.filter((one) => one.isMaster && one !== source && one !== target && cluster.isWell(one));
  const finish = () => [target, source, ...bystanders()];
  const moveKeys = () => {
    const keys = source.keysIn(slot).slice(0, keysAtOnce);
    if (keys.length === 0) return assign(finish());
    const where = [target.host, String(target.port), '', '0', '5000', 'KEYS'];
    source.run('migrate', [...where, ...keys]);
    step(move, moveKeys);
  };
  const assign = ([server, ...rest]: readonly ClusterServer[]) => {
    if (server === undefined) {
      cluster.moved(slot, source);
      return step(move, () => moveSlot(move, others));
    }
    if (cluster.isWell(server) && server.isMaster) setSlot(server, 'NODE', target.id);
    step(move, () => assign(rest));
  };
  step(move, () => {
    setSlot(target, 'IMPORTING', source.id);
    step(move, () => {
      setSlot(source, 'MIGRATING', target.id);
      step(move, moveKeys);
    });
  });
}

function step({ world, cluster, random }: SlotMove, work: () => void): void {
  cluster.trouble();
  const mostMs = random.next() < 0.9 ? STEP_MS : SLOW_STEP_MS;
  world.loop.after(0.3 + random.next() * mostMs, work, world.loop.world);
}
