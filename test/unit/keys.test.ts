import { describe, expect, it } from 'vitest';
import { Keys } from '../../src/backplane/redis/keys/keys.ts';
import { SLOTS, slotOf, tagsOverSlots } from '../../src/backplane/redis/keys/slots.ts';
import {
  passingProblem,
  serverProblem,
  versionProblem,
} from '../../src/backplane/redis/link/server-version.ts';

const ROOMS = ['lobby', 'chat:lobby', '$user:1', 'a}:log:{b', '{x}', ':', 'żółć 🦊', 'meta:x', "it's"];

describe('slots', () => {
  it('are those of Redis Cluster', () => {
    expect(slotOf('123456789')).toBe(0x31c3);
    expect(slotOf('foo')).toBe(12182);
    expect(slotOf('bar')).toBe(5061);
  });

  it.each([1, 7, 128, 1024, SLOTS])(
    'are shared evenly by %i partitions, each with a tag of its own',
    (partitions) => {
      const tags = tagsOverSlots(partitions);
      expect(new Set(tags).size).toBe(partitions);
      tags.forEach((tag, p) => {
        expect(Math.floor((slotOf(tag) * partitions) / SLOTS)).toBe(p);
        expect(tag).toMatch(/^[0-9a-z]{1,5}$/);
      });
    },
  );

  it('have the same tags for ever, since stored keys depend on them', () => {
    expect(tagsOverSlots(4)).toEqual(['3', '2', '1', '0']);
  });
});

describe('keys', () => {
  const keys = new Keys('rc', 128);

  it('are spelt prefix, tag, kind, room', () => {
    const [, tag] = /\{(\w+)\}/.exec(keys.meta('lobby'))!;
    expect(keys.meta('lobby')).toBe(`rc:{${tag}}:meta:lobby`);
    expect(keys.log('lobby')).toBe(`rc:{${tag}}:log3:lobby`);
    expect(keys.channel('lobby')).toBe(keys.log('lobby'));
    expect(keys.dedup('lobby', 'k')).toBe(`rc:{${tag}}:dedup:lobby*k`);
    expect(slotOf(tag!)).toBe(keys.slotOfPartition(keys.partitionOf('lobby')));
  });

  it('have a channel for each room that is no other channel', () => {
    const channels = ROOMS.map((room) => keys.channel(room));
    const others = ROOMS.flatMap((room) => [keys.meta(room), keys.probe(room)]);
    expect(new Set([...channels, ...others, keys.signals()]).size).toBe(3 * ROOMS.length + 1);
  });

  it('name the database in every channel, where it is not 0, and in no other name', () => {
    const other = new Keys('rc', 128, 12);
    expect(other.channel('lobby')).toBe(keys.channel('lobby').replace('log3:', 'log3@12:'));
    expect(other.log('lobby')).toBe(other.channel('lobby'));
    expect(`${other.logHeads[other.partitionOf('lobby')]!}lobby`).toBe(other.log('lobby'));
    expect(other.signals()).toBe(`${keys.signals()}@12`);
    expect(other.probe('n')).toBe(keys.probe('n').replace('probe:', 'probe@12:'));
    expect(other.probe('n', null)).toBe('rc:{nodes}:probe@12:n');
    expect(other.meta('lobby')).toBe(keys.meta('lobby'));
    expect(new Keys('rc', 128, 0).log('lobby')).toBe(keys.log('lobby'));
  });

  it('of different idempotency keys and rooms never collide', () => {
    const pairs = [
      ['a', 'b*c'],
      ['a', 'b:c'],
      ['a:b', 'c'],
      ['a', ''],
      ['a', 'b'],
    ] as const;
    expect(new Set(pairs.map(([room, key]) => keys.dedup(room, key).replace(/\{.*?\}/, ''))).size).toBe(
      pairs.length,
    );
  });

  it('spread rooms that differ in one character over the partitions', () => {
    const counts = new Array<number>(128).fill(0);
    for (let i = 0; i < 12_800; i++) counts[keys.partitionOf(`room:${i}`)]!++;
    expect(Math.min(...counts)).toBeGreaterThan(60);
    expect(Math.max(...counts)).toBeLessThan(145);
  });

  it('keep each room in its partition for ever, since stored keys depend on it', () => {
    expect(['lobby', 'chat:1', 'żółć 🦊'].map((room) => keys.partitionOf(room))).toEqual([116, 46, 46]);
  });
});

describe('the kind of a server', () => {
  const INFO =
    'redis_version:7.2.4\r\nredis_mode:standalone\r\nrole:master\r\ncluster_enabled:0\r\nloading:0\r\n';

  it('is right for a single primary', () => {
    expect([serverProblem(INFO), passingProblem(INFO)]).toEqual([null, null]);
  });

  it.each([
    [INFO.replace('standalone', 'sentinel'), 'it is a Sentinel'],
    // As Valkey says it.
    [INFO.replace('redis_mode:standalone', 'server_mode:sentinel'), 'it is a Sentinel'],
    [INFO.replace('standalone', 'cluster'), 'it is part of a Redis Cluster: set redis.cluster'],
    [INFO.replace('enabled:0', 'enabled:1'), 'it is part of a Redis Cluster: set redis.cluster'],
    [INFO.replace('7.2.4', '6.2.1'), 'it is version 6.2.1'],
  ])('is wrong for good in %j', (info, says) => {
    expect(serverProblem(info)).toContain(says);
  });

  it('is right for a cluster where it is part of one', () => {
    expect(serverProblem(INFO.replace('standalone', 'cluster'), true)).toBeNull();
    expect(serverProblem(INFO.replace('enabled:0', 'enabled:1'), true)).toBeNull();
    expect(serverProblem(INFO, true)).toContain('it is not part of a Redis Cluster');
  });

  it.each([
    [INFO.replace('loading:0', 'loading:1'), 'it is still loading its data'],
    [INFO.replace('role:master', 'role:slave'), 'it is a read-only replica'],
  ])('may pass in %j', (info, says) => {
    expect([serverProblem(info), passingProblem(info)]).toEqual([null, says]);
  });
});

describe('the version of a Redis', () => {
  it('is enough from 7 on, Valkey included', () => {
    for (const version of ['7.0.15', '7.2.4', '8.2.1', '10.0.0']) {
      expect(versionProblem(`# Server\r\nredis_version:${version}\r\nos:Linux\r\n`)).toBeNull();
    }
    expect(
      versionProblem('redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n'),
    ).toBeNull();
  });

  it('is refused below 7 and where it is not told', () => {
    expect(versionProblem('redis_version:6.2.14\r\n')).toContain('6.2.14');
    expect(versionProblem('')).toBe('it does not report its version');
  });
});
