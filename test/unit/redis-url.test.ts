import { describe, expect, it } from 'vitest';
import {
  bySentinels,
  readRedisUrl,
  readRedisUrls,
  redisAddress,
  redisAddresses,
  shownAddress,
} from '../../src/util/redis-url.ts';

const PLAIN = { isSecure: false, host: 'h', port: 6379, username: null, password: null, database: 0 };

describe('a Redis URL', () => {
  it.each([
    ['redis://h', {}],
    ['redis://h/', {}],
    ['redis://h:/0', {}],
    ['redis://h:7000/12', { port: 7000, database: 12 }],
    ['rediss://h', { isSecure: true }],
    ['redis://[::1]:7000', { host: '::1', port: 7000 }],
    ['redis://my_redis-1.local', { host: 'my_redis-1.local' }],
    ['redis://ann@h', { username: 'ann' }],
    ['redis://:pw@h', { password: 'pw' }],
    ['redis://a%40b:p%2Fw%25%3A@h/1', { username: 'a@b', password: 'p/w%:', database: 1 }],
    ['redis://ü:p@ss@h', { username: 'ü', password: 'p@ss' }],
    ['redis://a:b:c@h', { username: 'a', password: 'b:c' }],
  ])('%s is read', (url, parts) => {
    expect(readRedisUrl(url)).toEqual({ address: { ...PLAIN, ...parts } });
  });

  it.each([
    ['redis://h/abc', /^the database after the host/],
    ['redis://h/-1', /^the database/],
    ['redis://h/1.5', /^the database/],
    ['redis://h/0x1', /^the database/],
    ['redis://h/01', /^the database/],
    ['redis://h/0/1', /^the database/],
    ['redis://h/9999999999', /^the database/],
    ['redis://h//1', /^the database/],
    ['redis://h:0', /^the port must be from 1 to 65535/],
    ['redis://h:70000', /^the port/],
    ['redis://[::1]:70000', /^the port/],
    ['redis://u:hush@h:65536/0', /^the port/],
    ['redis://', /^has no host/],
    ['redis:///', /^has no host/],
    ['redis:///0', /^has no host/],
    ['redis://:6379', /^has no host/],
    ['redis://:hush@', /^has no host/],
    ['redis://:hush@:6379/0', /^has no host/],
    ['redis://:50%off-hush@h', /^a % in user or password is not a valid escape/],
    ['redis://hush%:pw@h', /^a % in user or password is not a valid escape/],
    ['redis://:%ff-hush@h', /^a % in user or password is not a valid escape/],
    ['redis://:hu/sh@h', /^cannot tell user and password from the host: percent-encode/],
    ['redis://:12/hush@h', /^cannot tell user and password from the host/],
    ['redis://u:12?hush@h', /^cannot tell user and password from the host/],
    ['redis://u:#hush@h', /^cannot tell user and password from the host/],
    ['redis://h?keyPrefix=x', /^options after \? or # are not supported/],
    ['redis://h/0?password=hush', /^options/],
    ['redis://h?', /^options/],
    ['redis://h#hush', /^options/],
    ['redis://hush%20hush', /^the host is not valid/],
    ['redis://hush,other', /^the host is not valid/],
    ['/var/run/hush.sock', /^Unix sockets are not supported/],
    ['unix:///run/hush.sock', /^Unix sockets/],
    ['redis+unix:///run/hush.sock', /^Unix sockets/],
    ['redis+sentinel://hush', /^expected a URL such as/],
    ['RedisS://hush', /^expected a URL/],
    ['redis:hush', /^expected a URL/],
    ['redis://hush hush', /^expected a URL/],
    ['', /^expected a URL/],
  ])('%s is refused, without repeating any of it', (url, says) => {
    const read = readRedisUrl(url);
    expect(read).toEqual({ problem: expect.stringMatching(says) });
    expect(JSON.stringify(read)).not.toContain('hush');
    expect(() => redisAddress(url)).toThrow(/^redis\.url: /);
  });

  it('is shown without credentials', () => {
    expect(shownAddress(redisAddress('redis://u:p@[::1]:7/2'))).toBe('[::1]:7');
    expect(shownAddress(redisAddress('redis://u:p@h'))).toBe('h:6379');
  });
});

describe('several Redis URLs', () => {
  it('are read where they differ only in host and port', () => {
    const addresses = redisAddresses('redis://a:1,redis://b:2');
    expect(addresses.map(shownAddress)).toEqual(['a:1', 'b:2']);
    expect(redisAddresses('redis://u:p,w@a,redis://u:p,w@b')).toMatchObject([
      { host: 'a', password: 'p,w' },
      { host: 'b', password: 'p,w' },
    ]);
    expect(redisAddresses('redis://h')).toEqual([PLAIN]);
  });

  it('of Sentinels have their standard port', () => {
    const { sentinels } = bySentinels(redisAddress('redis://h'), 'redis://a,redis://b:1', 'mymaster');
    expect(sentinels!.addresses.map(shownAddress)).toEqual(['a:26379', 'b:1']);
  });

  it.each([
    ['redis://h/abc', /^the database/],
    ['redis://a,redis://b:0', /^URL 2 of 2: the port must be/],
    [
      'redis://a,redis://:hush@b',
      /^URL 2 of 2 differs from the first: all servers .* same scheme, user, password/,
    ],
    ['redis://a,rediss://b', /^URL 2 of 2 differs/],
    ['redis://a,redis://b,redis://c/1', /^URL 3 of 3 differs/],
    ['redis://a,b', /^the host is not valid/],
    ['redis://a, redis://b', /^expected a URL/],
    ['redis://a,', /^the host is not valid/],
  ])('%s are refused, without repeating any of it', (urls, says) => {
    const read = readRedisUrls(urls);
    expect(read).toEqual({ problem: expect.stringMatching(says) });
    expect(JSON.stringify(read)).not.toContain('hush');
    expect(() => redisAddresses(urls)).toThrow(/^redis\.url: /);
  });
});
