import { beforeEach, expect, it } from 'vitest';
import type { Master } from '../../src/backplane/redis/cluster/slot-map.ts';
import { Whereabouts } from '../../src/backplane/redis/cluster/whereabouts.ts';
import { type LogFields, silentLog } from '../../src/util/log.ts';

const [OLD, NEW] = [
  { host: '10.0.0.1', port: 7001 },
  { host: '10.0.9.9', port: 7001 },
];
const [WORKS, FAILS] = [() => true, () => false];

function told(address: { host: string; port: number }, isOwnWord: boolean): Master {
  return { ...{ id: 'a'.repeat(40), hostname: '', epoch: 1, replicas: [] }, ...address, isOwnWord };
}

let lines: LogFields[];
let whereabouts: Whereabouts;

beforeEach(() => {
  lines = [];
  whereabouts = new Whereabouts({ ...silentLog, warn: (fields) => void lines.push(fields) });
});

it('links follow a server that says that it is elsewhere, and no others while they work', () => {
  expect(whereabouts.stays(OLD, told(NEW, true), WORKS)).toBe(false);
  expect(whereabouts.stays(OLD, told(NEW, false), WORKS)).toBe(true);
  expect(whereabouts.stays(OLD, told(NEW, false), FAILS)).toBe(false);
  expect(whereabouts.stays(OLD, told(OLD, true), FAILS)).toBe(true);
  expect(lines).toEqual([]);
});

it('links that left an announced address for one that works stay there, and that is told once', () => {
  expect(whereabouts.stays(OLD, told(NEW, true), WORKS)).toBe(false);
  expect(whereabouts.stays(NEW, told(OLD, false), FAILS)).toBe(false);
  for (let i = 0; i < 3; i++) expect(whereabouts.stays(OLD, told(NEW, true), WORKS)).toBe(true);
  expect(lines).toEqual([{ address: '10.0.0.1:7001', announced: '10.0.9.9:7001' }]);
});

it('an address that led nowhere is tried again where the other one leads nowhere, too', () => {
  whereabouts.stays(NEW, told(OLD, false), FAILS);
  expect(whereabouts.stays(OLD, told(NEW, true), FAILS)).toBe(false);
});

it('a third address that the server announces is followed at once', () => {
  whereabouts.stays(NEW, told(OLD, false), FAILS);
  expect(whereabouts.stays(OLD, told({ host: '10.0.0.3', port: 7001 }, true), WORKS)).toBe(false);
});
