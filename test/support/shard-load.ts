/**
 * Load on a Redis Cluster: a crowd in one room of the shard that something happens to, which shows how long it is silent, and
 * a fleet in many rooms of this shard and of the others, which shows that each room has what was acknowledged there.
 */
import { expect } from 'vitest';
import { check, expectFlawless, figures, type Verdict } from './checker.ts';
import type { Cluster } from './cluster.ts';
import { Crowd } from './crowd.ts';
import { Fleet } from './fleet.ts';
import { Random } from './random.ts';
import type { RedisServer } from './redis.ts';
import type { UsedRedisCluster } from './use-redis-cluster.ts';

export interface ShardLoadOptions {
  /** To which something will happen. */
  readonly shard: RedisServer;
  /** Of the fleet, on this shard; half as many are on others. Default 100. */
  readonly rooms?: number;
}

export interface Judgement {
  /** Of the rooms of the shard. */
  readonly here: Sum;
  /** Of the rooms of the others. */
  readonly elsewhere: Sum;
}

interface Sum {
  readonly gaps: number;
  readonly resets: number;
}

const CROWD_PER_SECOND = 300;
const FLEET_PER_SECOND = 200;
const SETTLED_WITHIN_MS = 60_000;
/** No two loads of a file use the same rooms. */
let loads = 0;

export class ShardLoad {
  readonly crowd: Crowd;
  readonly fleet: Fleet;
  readonly #here: readonly string[];
  readonly #elsewhere: readonly string[];
  readonly #nodes: Cluster;
  readonly #resetsBefore: number;
  readonly #beganAtMs = performance.now();

  private constructor(
    crowd: Crowd,
    fleet: Fleet,
    here: readonly string[],
    elsewhere: readonly string[],
    nodes: Cluster,
  ) {
    this.crowd = crowd;
    this.fleet = fleet;
    this.#here = here;
    this.#elsewhere = elsewhere;
    this.#nodes = nodes;
    this.#resetsBefore = nodes.reasonsOfResets.length;
  }

  /** Resolves when all have joined and messages flow. */
  static async begin(used: UsedRedisCluster, { shard, rooms = 100 }: ShardLoadOptions): Promise<ShardLoad> {
    const name = `load:${++loads}`;
    const here = await used.roomsOn(shard, rooms, name);
    const others = (await used.redis.masters()).filter((master) => master !== shard);
    const elsewhere = await Promise.all(
      others.map((other) => used.roomsOn(other, Math.round(rooms / 2 / others.length), name)),
    );
    const [room] = (await used.roomsOn(shard, 1, `crowd:${loads}`)) as [string];
    const { urls } = used.nodes;
    const crowd = await Crowd.gather({ room, urls, members: [4, 4, 4], publishers: [0, 1, 2] });
    const all = [...here, ...elsewhere.flat()];
    const clients = Math.max(30, Math.round(all.length / 15));
    const fleet = await Fleet.launch({
      urls,
      clients,
      rooms: all,
      roomsOfEach: Math.ceil((3 * all.length) / clients),
      random: new Random(loads),
      client: {},
    });
    crowd.publish(CROWD_PER_SECOND);
    fleet.publish(FLEET_PER_SECOND);
    await crowd.heard(CROWD_PER_SECOND);
    return new ShardLoad(crowd, fleet, here, elsewhere.flat(), used.nodes);
  }

  /** Resolves when that many messages more are acknowledged in the room of the crowd. */
  heard(more: number): Promise<void> {
    return this.crowd.heard(more);
  }

  /** Ends the load, throws if any room lacks a message or has one twice or in the wrong place, and prints the figures. */
  async judge(title: string, more = ''): Promise<Judgement> {
    const { crowd, fleet } = this;
    await fleet.settle(SETTLED_WITHIN_MS);
    const verdict = await crowd.conclude(title, () => [crowd.answers(), more].filter(Boolean).join(', '));
    expectFlawless(verdict);
    const here = this.#verdicts(this.#here);
    const elsewhere = this.#verdicts(this.#elsewhere);
    const durationMs = performance.now() - this.#beganAtMs;
    console.log(
      figures(`${title}, ${here.length} rooms of the shard`, total(here), durationMs, fleet.words()),
    );
    console.log(figures(`${title}, ${elsewhere.length} rooms of others`, total(elsewhere), durationMs));
    return { here: total([verdict, ...here]), elsewhere: total(elsewhere) };
  }

  /** For what costs nothing: no gap, no reset, nobody disconnected, and each room holds what was acknowledged, once. */
  async judgeCalm(title: string, more = ''): Promise<void> {
    const judgement = await this.judge(title, more);
    const reasons = this.#nodes.reasonsOfResets.slice(this.#resetsBefore);
    expect({ ...judgement, reasons }).toMatchObject({
      here: { gaps: 0, resets: 0 },
      elsewhere: { gaps: 0, resets: 0 },
      reasons: [],
    });
    expect(await this.fleet.audit(this.#nodes.urls[0]!)).toEqual([]);
    const { members, publishers } = this.crowd;
    for (const { connections } of [...members, ...publishers]) expect(connections).toBe(1);
  }

  async end(): Promise<void> {
    await Promise.all([this.crowd.disperse(), this.fleet.close()]);
  }

  #verdicts(rooms: readonly string[]): Verdict[] {
    return rooms.map((room) => {
      const acknowledged = this.fleet.acknowledged.filter((message) => message.room === room);
      const verdict = check(acknowledged, this.fleet.logs(room));
      expectFlawless(verdict);
      return verdict;
    });
  }
}

function total(verdicts: readonly Verdict[]): Verdict {
  const sum = (of: (verdict: Verdict) => number) => verdicts.reduce((all, verdict) => all + of(verdict), 0);
  return {
    faults: verdicts.flatMap(({ faults }) => faults),
    members: sum(({ members }) => members),
    messages: sum(({ messages }) => messages),
    delivered: sum(({ delivered }) => delivered),
    gaps: sum(({ gaps }) => gaps),
    resets: sum(({ resets }) => resets),
    forgotten: verdicts.flatMap(({ forgotten }) => forgotten),
    longestSilenceMs: Math.max(0, ...verdicts.map(({ longestSilenceMs }) => longestSilenceMs)),
  };
}
