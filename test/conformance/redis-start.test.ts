/** What a node refuses to start with, and what it says: real servers that lack a right, a command, a database, or are another kind. */
import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { RedisBackplane, type RedisBackplaneOptions } from '../../src/backplane/redis/redis-backplane.ts';
import { Heard, redisOptions } from '../support/backplanes.ts';
import { KEPT, publishTiny, textsOf, UNKEPT } from '../support/frames.ts';
import { freePort } from '../support/ports.ts';
import { entryOf, startPresence } from '../support/presence.ts';
import { RedisServer } from '../support/redis.ts';
import { waitFor, within } from '../support/wait.ts';

const DOCUMENT = readFileSync(new URL('../../deploy/README.md', import.meta.url), 'utf8');
/** `ACL SETUSER roomcast reset …`, as the documentation has it. */
const ACL_LINE = /^ACL SETUSER roomcast .*$/m.exec(DOCUMENT)![0].split(' ');
const RIGHTS = ACL_LINE.filter((word) => /^[~&+]/.test(word));

let shared: RedisServer;
const open: RedisBackplane[] = [];
const servers: RedisServer[] = [];

beforeAll(async () => {
  shared = await RedisServer.start();
});

afterAll(() => shared.dispose());

afterEach(async () => {
  for (const backplane of open.splice(0)) await backplane.close();
  for (const server of servers.splice(0)) await server.dispose();
});

async function ownServer(settings: Record<string, string>): Promise<RedisServer> {
  const server = await RedisServer.start(settings);
  servers.push(server);
  return server;
}

interface Started {
  readonly backplane: RedisBackplane;
  readonly heard: Heard;
  readonly nodeId: string;
}

/** With the standard prefix, which is that of the documented line. Patient enough that only a refusal comes quickly. */
async function start(url: string, settings: Partial<RedisBackplaneOptions> = {}): Promise<Started> {
  const options = redisOptions(url, { keyPrefix: 'rc', startupTimeoutMs: 60_000, ...settings });
  const backplane = new RedisBackplane(options);
  open.push(backplane);
  const heard = new Heard();
  await within(5_000, 'the start or a refusal', backplane.start(heard));
  return { backplane, heard, nodeId: options.nodeId };
}

async function refusal(url: string, settings: Partial<RedisBackplaneOptions> = {}): Promise<string> {
  const error: unknown = await start(url, settings).then(
    () => new Error('it started'),
    (cause: unknown) => cause,
  );
  expect(error).toMatchObject({ name: 'BackplaneError', code: 'unavailable', stage: 'connect' });
  return (error as Error).message;
}

/** Makes the documented user, less some of its rights. */
async function setUser(without: readonly string[] = [], also: readonly string[] = []): Promise<string> {
  const words = ACL_LINE.filter((word) => !without.includes(word));
  await shared.client.call(words[0]!, ...words.slice(1), ...also);
  return shared.url.replace('//', '//roomcast:PASSWORD@');
}

describe('the documented user of Redis', () => {
  it('may do all that a node does, and was refused nothing', async () => {
    await shared.client.call('ACL', 'LOG', 'RESET');
    const url = await setUser();
    const a = await startPresence(await start(url, { leaseMs: 600 }));
    const b = await startPresence(await start(url, { leaseMs: 600, probeIntervalMs: 20 }));
    await Promise.all([a.backplane.subscribe('room'), b.backplane.subscribe('room')]);
    const first = await publishTiny(a.backplane, 'room', 'one', { key: 'k' });
    expect(first).toMatchObject({ error: null, offset: 1 });
    expect(await publishTiny(b.backplane, 'room', 'one', { key: 'k' })).toMatchObject({ duplicate: true });
    expect((await publishTiny(a.backplane, 'other', 'two', { history: UNKEPT })).error).toBeNull();
    expect(textsOf(await b.heard.untilMessages('room', 1))).toEqual(['one']);
    expect(textsOf((await b.backplane.read('room', KEPT, { limit: 10 })).envelopes)).toEqual(['one']);
    const { epoch } = first;
    expect(await a.backplane.acks.ack('room', KEPT, 'ann', [epoch, 1])).toMatchObject({ offset: 1 });
    expect(await b.backplane.acks.get('room', KEPT, 'ann')).toEqual({ epoch, offset: 1 });
    expect((await b.backplane.acks.list('room', KEPT, null, 10)).count).toBe(1);
    a.backplane.presence.enter('room', entryOf(a, 1, 'ann'), true);
    a.backplane.presence.enter('room', entryOf(a, 2, 'bob'), true);
    a.backplane.presence.leave('room', entryOf(a, 2, 'bob'), true);
    expect(await b.presence.untilChanges('room', 3)).toHaveLength(3);
    expect((await b.backplane.presence.list('room', 10)).count).toBe(1);
    expect((await b.backplane.presence.rooms(10)).rooms).toEqual([{ room: 'room', count: 1 }]);
    await a.backplane.signal('to all');
    await waitFor(() => b.heard.signals.length === 1, { for: 'the signal' });
    await b.backplane.renewEpoch('room', KEPT, epoch, 5);
    const kept = { messages: 10, ageMs: 60_000, bytes: 64 * 1024 };
    const large = { history: kept };
    for (let n = 0; n < 20; n++) await publishTiny(a.backplane, 'large', 'x'.repeat(10_000), large);
    expect((await b.backplane.read('large', kept, { limit: 100 })).envelopes.length).toBeLessThan(10);
    expect(await b.backplane.clearHistory('large', kept)).toMatchObject({ offset: 20 });
    expect(await b.backplane.subscribers('room')).toBe(2);
    await a.backplane.denials.deny('ann', 60_000);
    await a.backplane.denials.lift('ann', 60_000);
    expect(await b.backplane.denials.read()).toMatchObject([{ subject: 'ann', isLifted: true }]);
    // The first dies: the other one claims and sweeps it.
    await a.backplane.close();
    expect(await b.presence.untilChanges('room', 4)).toHaveLength(4);
    b.backplane.unsubscribe('room');
    await b.backplane.presence.close();
    expect(b.backplane.status()).toEqual({ ready: true, reason: null });
    await b.backplane.close();
    const log = (await shared.client.call('ACL', 'LOG', '1000')) as unknown[][];
    const denied = log.map((entry) => String(entry[entry.indexOf('object') + 1]));
    expect(denied.filter((object) => !object.startsWith('client|set'))).toEqual([]);
  });

  it('leaves nothing of the trial in Redis', async () => {
    await shared.client.flushall();
    await start(await setUser());
    const kept = (await shared.client.keys('*')).filter((key) => !/}:(lineage$|beat:)/.test(key));
    expect(kept).toEqual([]);
  });

  it.each(RIGHTS)('cannot be used without %s, which the refusal names', async (right) => {
    const message = await refusal(await setUser([right]));
    expect(message).toBe(
      `cannot use the Redis at 127.0.0.1:${shared.port}: it does not permit user "roomcast" everything that a node needs (deploy/README.md lists it): ACL SETUSER roomcast ${right}`,
    );
  });

  it('needs +select where the database is not 0', async () => {
    const url = `${await setUser()}/4`;
    expect(await refusal(url)).toMatch(/: ACL SETUSER roomcast \+select$/);
    await setUser([], ['+select']);
    await start(url);
  });

  it('gets there by doing what the refusals say', async () => {
    const url = await setUser(RIGHTS);
    const steps: string[][] = [];
    let isStarted = false;
    while (!isStarted && steps.length < 5) {
      const message = await start(url).then(
        () => null,
        (error: Error) => error.message,
      );
      isStarted = message === null;
      if (message === null) continue;
      const [acl, ...words] = message.slice(message.indexOf('ACL SETUSER')).split(' ');
      await shared.client.call(acl!, ...words);
      steps.push(words.slice(2));
    }
    // Commands, those that are seen only by scripts, what is behind these.
    expect(steps).toHaveLength(3);
    expect(steps.flat().sort()).toEqual([...RIGHTS].sort());
  });

  it('who may use the channels of another prefix only is refused', async () => {
    const url = await setUser(['&rc:{*'], ['&other:*']);
    expect(await refusal(url)).toMatch(/ACL SETUSER roomcast &rc:\{\*$/);
  });

  it('who may hear the signals but no room is refused', async () => {
    const url = await setUser(['&rc:{*'], ['&rc:{nodes}*']);
    expect(await refusal(url)).toMatch(/ACL SETUSER roomcast &rc:\{\*$/);
  });
});

describe('the user of a URL', () => {
  it('may have any characters in name and password, and needs no password', async () => {
    await shared.client.call('ACL', 'SETUSER', 'svc@app:ü', 'on', '>p/w%?#@:', '+@all', '~*', '&*');
    await shared.client.call('ACL', 'SETUSER', 'open', 'on', 'nopass', '+@all', '~*', '&*');
    const login = `${encodeURIComponent('svc@app:ü')}:${encodeURIComponent('p/w%?#@:')}`;
    for (const user of [login, 'open']) {
      const { nodeId } = await start(shared.url.replace('//', `//${user}@`));
      const list = (await shared.client.client('LIST')) as string;
      const line = list.split('\n').find((client) => client.includes(`roomcast-${nodeId}-cmd`));
      expect(line).toContain(user === 'open' ? 'user=open' : 'user=svc@app:ü');
    }
  });

  it('is refused at once where the password is wrong, without repeating it', async () => {
    await setUser();
    const message = await refusal(shared.url.replace('//', '//roomcast:hush@'));
    expect(message).toMatch(/^cannot log in to Redis at 127\.0\.0\.1:\d+: WRONGPASS .*redis\.url$/);
    expect(message).not.toContain('hush');
  });
});

describe('a database', () => {
  it('that is not there is refused, and nothing is written elsewhere', async () => {
    await shared.client.flushall();
    expect(await refusal(`${shared.url}/99`)).toBe(
      `cannot use the Redis at 127.0.0.1:${shared.port}: it has no database with the number in redis.url (ERR DB index is out of range): set another one in redis.url, or raise "databases" in redis.conf`,
    );
    expect(await shared.client.keys('*')).toEqual([]);
  });

  it('that is there holds all keys, also after the links were lost', async () => {
    const server = await ownServer({});
    const { backplane } = await start(`${server.url}/7`);
    await publishTiny(backplane, 'room', 'x');
    await server.restart();
    await waitFor(() => backplane.status().ready, { for: 'ready again' });
    await publishTiny(backplane, 'room', 'y');
    expect(await server.info('keyspace', 'db0')).toBeUndefined();
    // Log and numbering of the room, the node's beat, and the lineage of each of 16 partitions and of the leases.
    expect(await server.info('keyspace', 'db7')).toMatch(/^keys=20,/);
  });

  it.each(['redis://h/abc', 'redis://:50%off@h', 'redis://h?keyPrefix=x'])('%s is refused', (url) => {
    expect(() => new RedisBackplane(redisOptions(url))).toThrow(/^redis\.url: /);
  });
});

describe('another kind of server', () => {
  it('is refused where it is a server of a Redis Cluster, and nobody said so', async () => {
    const server = await ownServer({ 'cluster-enabled': 'yes', 'cluster-port': String(await freePort()) });
    for (const url of [server.url, `${server.url}/1`]) {
      expect(await refusal(url)).toMatch(
        /^cannot use the Redis at .*: it is part of a Redis Cluster: set redis\.cluster \(--redis-cluster\)/,
      );
    }
  });

  it('is refused where it is no server of a Redis Cluster, and is said to be one', async () => {
    expect(await refusal(shared.url, { cluster: true })).toMatch(
      /^cannot use the Redis at .*: it is not part of a Redis Cluster .*: remove redis\.cluster/,
    );
  });

  it('is refused where it is a Sentinel', async () => {
    const sentinel = await RedisServer.startSentinel();
    servers.push(sentinel);
    for (const url of [sentinel.url, `${sentinel.url}/1`]) {
      expect(await refusal(url)).toMatch(
        /: it is a Sentinel, .* set redis\.url to the address of the primary$/,
      );
    }
  });

  it.each([
    ['evalsha', 'EVALSHA'],
    ['script', 'SCRIPT LOAD'],
    ['info', 'INFO'],
    ['xadd', 'XADD'],
    ['time', 'TIME'],
    ['publish', 'PUBLISH'],
    ['subscribe', 'SUBSCRIBE'],
  ])('is refused where %s was renamed', async (command, shown) => {
    const server = await RedisServer.start({}, { renamed: [command] });
    servers.push(server);
    expect(await refusal(server.url)).toMatch(
      new RegExp(`: it does not know ${shown}: undo the rename-command that hides it$`),
    );
  });

  it('is refused where scripts are forbidden', async () => {
    await shared.client.call(
      'ACL',
      'SETUSER',
      'plain',
      'reset',
      'on',
      '>pw',
      '~*',
      '&*',
      '+@all',
      '-@scripting',
    );
    expect(await refusal(shared.url.replace('//', '//plain:pw@'))).toMatch(
      /ACL SETUSER plain \+script\|load \+evalsha$/,
    );
  });

  it('is tried again where it has no free connection, then refused with what to do', async () => {
    const server = await ownServer({ maxclients: '3' });
    const clients = [server.client.duplicate(), server.client.duplicate()];
    for (const client of clients) client.on('error', () => undefined);
    for (const client of [server.client, ...clients]) await waitFor(() => client.ping());
    const message = await refusal(server.url, { startupTimeoutMs: 200 });
    expect(message).toMatch(
      /^Redis at .* has no free connection \(ERR max number of clients reached\): raise maxclients/,
    );
    const starting = start(server.url);
    await server.client.config('SET', 'maxclients', '100');
    await starting;
    for (const client of clients) client.disconnect();
  });

  it('is told of TLS where it does not speak it', async () => {
    const url = shared.url.replace('redis:', 'rediss:');
    const message = await refusal(url, { startupTimeoutMs: 200, commandTimeoutMs: 200 });
    expect(message).toMatch(/^cannot reach Redis at .*this port uses TLS \(else use redis:\/\/\)$/);
  });
});

describe('a Redis that refuses writes at start', () => {
  it('is tried again, then named; the node starts once it takes them', async () => {
    const server = await ownServer({ maxmemory: '1' });
    const message = await refusal(server.url, { startupTimeoutMs: 200 });
    expect(message).toMatch(/^cannot use the Redis at .*: it refuses writes: OOM command not allowed/);
    const starting = start(server.url);
    await server.client.config('SET', 'maxmemory', '0');
    await starting;
  });
});
