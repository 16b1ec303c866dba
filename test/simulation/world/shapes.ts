/**
 * What runs look like. Each shape puts the weight on something else: what happens once a minute in one happens each second in another,
 * so that no time is spent on waiting for it.
 */

import { CLUSTER_FAULTS } from './cluster-faults.ts';
import { LINK_FAULTS, REDIS_FAULTS } from './faults.ts';
import type { Happening } from './happening.ts';

export interface Shape {
  readonly nodes: number;
  readonly clients: number;
  readonly stormMs: number;
  readonly actionsPerSecond: number;
  readonly faultsPerMinute: number;
  /** How often actions are drawn, where it differs from what they say themselves. */
  readonly actions: Readonly<Record<string, number>>;
  /** Kinds of faults that all runs have, and how often they are drawn. Of the others each run has about half. */
  readonly faults: Readonly<Record<string, number>>;
  /** The part of the rooms that each client begins with. */
  readonly joinedShare: number;
  /** How long clients wait at most before they try again. Default: as long as clients do there. */
  readonly reconnectCapMs?: number;
  /** The limit of a room's rate, in runs that have one: what waits must be through when the calm is over. */
  readonly fewPublishes: number;
  /** Redis is a cluster. Default false. */
  readonly isCluster?: boolean;
}

function weights(faults: Readonly<Record<string, Happening>>, times: number): Record<string, number> {
  return Object.fromEntries(Object.entries(faults).map(([kind, { weight }]) => [kind, weight * times]));
}

const ORDINARY: Shape = {
  nodes: 3,
  clients: 8,
  stormMs: 60_000,
  actionsPerSecond: 15,
  faultsPerMinute: 20,
  actions: {},
  faults: {},
  joinedShare: 0.6,
  fewPublishes: 12,
};

export const SHAPES = {
  /** A little of everything. */
  ordinary: ORDINARY,
  /** Each client loses its connection about each second, in whatever state it is. */
  cuts: {
    ...ORDINARY,
    clients: 24,
    stormMs: 120_000,
    faultsPerMinute: 1_800,
    actions: { join: 8, leave: 8 },
    faults: { resetClient: 4_000 },
    reconnectCapMs: 500,
    // Members are told of each who comes and goes.
    joinedShare: 0.3,
  },
  /** Rooms with many members, and many messages at once. */
  burst: {
    ...ORDINARY,
    clients: 40,
    actionsPerSecond: 20,
    actions: { publish: 20, burst: 60 },
    joinedShare: 0.9,
    fewPublishes: 60,
  },
  /** Something is wrong with Redis, or with the way to it, all the time. */
  store: {
    ...ORDINARY,
    stormMs: 240_000,
    actionsPerSecond: 8,
    faultsPerMinute: 120,
    faults: { ...weights(LINK_FAULTS, 1), ...weights(REDIS_FAULTS, 2) },
  },
  /** A Redis Cluster in which something goes on all the time. */
  cluster: {
    ...ORDINARY,
    isCluster: true,
    stormMs: 180_000,
    actionsPerSecond: 8,
    faultsPerMinute: 25,
    faults: weights(CLUSTER_FAULTS, 1),
  },
  /** The same as it may be in bad weeks: something each minute, light traffic, and a quarter of an hour at a time. */
  hours: {
    ...ORDINARY,
    isCluster: true,
    nodes: 2,
    clients: 5,
    stormMs: 900_000,
    actionsPerSecond: 0.5,
    faultsPerMinute: 1,
    faults: { ...weights(LINK_FAULTS, 1), ...weights(CLUSTER_FAULTS, 2) },
  },
} satisfies Readonly<Record<string, Shape>>;

export type ShapeName = keyof typeof SHAPES;

export const SHAPE_NAMES = Object.keys(SHAPES) as ShapeName[];
