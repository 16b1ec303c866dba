/** `sub`, `pub`, `members`, `history` and `token` as processes of the built program, against real nodes. */

import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import type { HistoryResult, Member, MembersResult } from '../../src/protocol/frames.ts';
import { TestClient } from '../support/client.ts';
import { Cluster } from '../support/cluster.ts';
import { NodeProcess } from '../support/node-process.ts';
import { freePort } from '../support/ports.ts';
import { untilReadyz } from '../support/readyz.ts';
import { RedisServer } from '../support/redis.ts';
import { type Ended, RoomcastProcess, type RoomcastProcessOptions } from '../support/roomcast-process.ts';
import { SECRET, secondsFromNow, secretKey, token } from '../support/tokens.ts';
import { delay, waitFor } from '../support/wait.ts';

/** Publishers here are as fast as they can, and rooms keep what they publish. */
const ENV = {
  ROOMCAST_LIMITS_COMMANDS_PER_SECOND: '0',
  ROOMCAST_LIMITS_BYTES_PER_SECOND: '0',
  ROOMCAST_LIMITS_READ_BYTES_PER_SECOND: '0',
  ROOMCAST_LIMITS_HISTORY_PAGE: '10000',
  ROOMCAST_HISTORY_MESSAGES: '100000',
  ROOMCAST_HISTORY_BYTES: '0',
};

/** More than three pages of history. */
const LINES = Number(process.env.CLI_LINES ?? 35_000);

const API_KEY = 'a-key-of-the-http-api';

let node: NodeProcess;
/** At the node: it stores what commands are to find, and looks at what they stored. */
let other: TestClient;
/** Asks for tokens. */
let guarded: NodeProcess;
let folder: string;
let rooms = 0;
let started: RoomcastProcess[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'roomcast-cli-'));
  [node, guarded] = await Promise.all([
    NodeProcess.start({ env: { ...ENV, ROOMCAST_ROOMS: '[{"match": "live:*", "history": false}]' } }),
    NodeProcess.start({
      env: {
        ...ENV,
        ROOMCAST_AUTH_SECRET: SECRET,
        ROOMCAST_API_KEYS: API_KEY,
        ROOMCAST_ROOMS: '[{"match": "members:*", "publish": "members"}]',
      },
    }),
  ]);
  other = await TestClient.connect(node.wsUrl);
});

afterEach(() => {
  for (const one of started) one.kill('SIGKILL');
  started = [];
});

afterAll(async () => {
  await other.close();
  await Promise.all([node.stop(), guarded.stop()]);
  rmSync(folder, { recursive: true });
});

function newRoom(): string {
  return `room:${++rooms}`;
}

function start(args: readonly string[], options: RoomcastProcessOptions = {}): RoomcastProcess {
  const { env } = options;
  const one = new RoomcastProcess(args, { ...options, env: { ROOMCAST_URL: node.url, ...env } });
  started.push(one);
  return one;
}

function run(args: readonly string[], options: RoomcastProcessOptions = {}): Promise<Ended> {
  return start(args, options).end().ended;
}

async function publish(room: string, texts: readonly string[]): Promise<void> {
  const { code, stderr } = await start(['pub', room]).end(texts.map((text) => `${text}\n`).join('')).ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
}

function numbers(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, i) => String(from + i));
}

/** The data of JSON lines. */
function dataOf(stdout: string): unknown[] {
  return stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line).data);
}

/** What the room keeps; bytes in base64, as commands print them. */
async function kept(room: string): Promise<unknown[]> {
  const { messages } = await other.ok<HistoryResult>('history', room, { limit: 10_000 });
  return messages.map(([, , , , , data]) =>
    data instanceof Uint8Array ? Buffer.from(data).toString('base64') : data,
  );
}

/** What commands are to find. */
async function store(room: string, texts: readonly string[]): Promise<void> {
  await Promise.all(texts.map((text) => other.ok('publish', room, text)));
}

describe('roomcast pub', () => {
  it('publishes an argument, and says nothing', async () => {
    const room = newRoom();
    expect(await run(['pub', room, 'hello'])).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(await kept(room)).toEqual(['hello']);
  });

  it('publishes each line of its input, and prints where it is on demand', async () => {
    const room = newRoom();
    const { code, stdout } = await start(['pub', room, '-', '--results']).end('one\n\ntwo\r\nlast').ended;
    expect(code).toBe(0);
    const results = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const epoch = expect.stringMatching(/^\w+$/);
    expect(results).toEqual([1, 2, 3, 4].map((number) => ({ line: number, epoch, offset: number })));
    expect(await kept(room)).toEqual(['one', '', 'two\r', 'last']);
  });

  it(`publishes ${LINES} lines once and in order, and ends when the last is acknowledged`, async () => {
    const room = newRoom();
    await publish(room, numbers(1, LINES));
    const { stdout } = await run(['history', room, '--all']);
    expect(dataOf(stdout)).toEqual(numbers(1, LINES));
  }, 120_000);

  it('waits for what is on its way when its input has ended', async () => {
    const room = newRoom();
    const pub = start(['pub', room, '--results']).write('first\n');
    await pub.printed(1);
    process.kill(node.pid, 'SIGSTOP');
    try {
      pub.end(`${numbers(1, 50).join('\n')}\n`);
      // Its input has ended, and no answer comes.
      await delay(500);
      expect(pub.lines).toHaveLength(1);
    } finally {
      process.kill(node.pid, 'SIGCONT');
    }
    expect(await pub.ended).toMatchObject({ code: 0, stderr: '' });
    expect(pub.lines).toHaveLength(51);
    expect(await kept(room)).toEqual(['first', ...numbers(1, 50)]);
  });

  it('publishes JSON, bytes, and its whole input as one message', async () => {
    const room = newRoom();
    await start(['pub', room, '--json']).end('{"a": [1, null]}\n\n  \n"text"\n-0.5').ended;
    await start(['pub', room, '--whole']).end('two\nlines\n').ended;
    await start(['pub', room, '--whole', '--binary']).end(Uint8Array.of(0, 255, 10, 128)).ended;
    await run(['pub', room, '{"from": "an argument"}', '--json']);
    expect(await kept(room)).toEqual([
      { a: [1, null] },
      'text',
      -0.5,
      'two\nlines\n',
      Buffer.from([0, 255, 10, 128]).toString('base64'),
      { from: 'an argument' },
    ]);
  });

  it('keeps odd text as it is', async () => {
    const room = newRoom();
    const odd = ['\u0000\u0007\u001b[31m', '\u2028\u2029', '\ufeffBOM', 'ünï 🦊', 'x'.repeat(60_000), ' \t '];
    await publish(room, odd);
    expect(await kept(room)).toEqual(odd);
  });

  it.each([
    ['is not JSON', ['--json'], 'line 3 is not JSON', '{}\n[]\n{\n{}\n'],
    [
      'is not UTF-8',
      [],
      'line 3 is not UTF-8; --binary publishes bytes',
      Buffer.from('a\nb\n\xff\nc\n', 'latin1'),
    ],
  ])('stops at a line that %s, with what was acknowledged', async (_, flags, says, input) => {
    const room = newRoom();
    const { code, stderr } = await start(['pub', room, ...flags]).end(input).ended;
    expect(code).toBe(1);
    expect(stderr).toContain(says);
    expect(stderr).toContain('2 of 2 messages acknowledged');
    expect(await kept(room)).toHaveLength(2);
  });

  it('stops at a message that the node refuses, and says which lines were not stored', async () => {
    const room = newRoom();
    const { code, stderr } = await start(['pub', room]).end(`small\n${'x'.repeat(2_000_000)}\n`).ended;
    expect(code).toBe(3);
    expect(stderr).toMatch(/^line 2: payload_too_large: /);
    expect(stderr).toContain('1 of 2 messages acknowledged; not acknowledged: line 2');
    expect(await kept(room)).toEqual(['small']);
  });

  it('ends at once when it is refused while its input is silent', async () => {
    const { code, stderr } = await start(['pub', '$reserved']).write('x\n').ended;
    expect(code).toBe(3);
    expect(stderr).toContain('line 1: ');
  });

  it('stores the same input once with --key-from line, equal lines included', async () => {
    const room = newRoom();
    const input = 'tick\ntick\ntock\n';
    for (const duplicate of [undefined, true]) {
      const { code, stdout } = await start(['pub', room, '--key-from', 'line', '--results']).end(input).ended;
      expect(code).toBe(0);
      const results = stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line));
      expect(results.map((result) => result.duplicate)).toEqual([duplicate, duplicate, duplicate]);
    }
    expect(await kept(room)).toEqual(['tick', 'tick', 'tock']);
  });

  it('sends signals, which nobody keeps', async () => {
    const room = newRoom();
    const sub = start(['sub', room, '--signals', '--count', '201', '--format', '%o %d']);
    // Where the message is, the member is in the room.
    await storeUntilSeen(sub, room);
    const { code, stderr } = await start(['pub', room, '--ephemeral']).end(`${numbers(1, 200).join('\n')}\n`)
      .ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const { code: read, stdout } = await sub.ended;
    expect(read).toBe(0);
    expect(stdout.trimEnd().split('\n').slice(1)).toEqual(numbers(1, 200).map((number) => `- ${number}`));
    expect(await kept(room)).toEqual(['begin']);
  });

  it('sends signals as fast as the node takes them', async () => {
    const limits = { ROOMCAST_LIMITS_COMMANDS_PER_SECOND: '100', ROOMCAST_LIMITS_COMMAND_BURST: '100' };
    const slow = await NodeProcess.start({ env: { ...ENV, ...limits } });
    try {
      const args = ['pub', newRoom(), '--ephemeral', '--url', slow.url];
      const { code, stderr } = await start(args).end(`${numbers(1, 200).join('\n')}\n`).ended;
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    } finally {
      await slow.stop();
    }
  });

  it('says how many were acknowledged when the node is killed', async () => {
    const room = newRoom();
    const victim = await NodeProcess.start({ env: ENV });
    const pub = start(['pub', room, '--results', '--url', victim.url, '--connect-timeout', '1']);
    pub.write(`${numbers(1, 5000).join('\n')}\n`);
    await pub.printed(500);
    await victim.kill();
    const { code, stdout, stderr } = await pub.ended;
    const acknowledged = stdout.split('\n').length - 1;
    expect(code).toBe(4);
    expect(stderr).toContain('gave up after 1 s without a connection: connect ECONNREFUSED');
    const [, said, taken, first] = /(\d+) of (\d+) messages acknowledged; not acknowledged: line (\d+)/.exec(
      stderr,
    )!;
    expect(Number(said)).toBe(acknowledged);
    expect(Number(taken)).toBeGreaterThan(acknowledged);
    expect(Number(first)).toBe(acknowledged + 1);
  });

  it('is interrupted by Ctrl-C, with what was acknowledged', async () => {
    const pub = start(['pub', newRoom(), '--results']).write('one\ntwo\n');
    await pub.printed(2);
    pub.kill('SIGINT');
    expect(await pub.ended).toMatchObject({ code: 130, stderr: '2 of 2 messages acknowledged\n' });
  });

  it('goes on publishing when nobody reads its results', async () => {
    const room = newRoom();
    const pub = start(['pub', room, '--results']).write('one\n');
    await pub.printed(1);
    pub.stopReading();
    expect(await pub.end(`${numbers(1, 3000).join('\n')}\n`).ended).toMatchObject({ code: 0, stderr: '' });
    expect(await kept(room)).toHaveLength(3001);
  });
});

/** A member that has printed a message is in the room. */
async function storeUntilSeen(sub: RoomcastProcess, room: string): Promise<void> {
  await untilMember(room);
  await store(room, ['begin']);
  await sub.printed(1);
}

/** Resolves when so many are in the room. A node asks for `token` where it checks tokens. */
async function untilMember(room: string, { at = node, count = 1, credentials = '' } = {}): Promise<Member> {
  const client = await TestClient.connect(at.wsUrl, credentials === '' ? {} : { token: credentials });
  const found = await waitFor(async () => {
    const { members } = await client.ok<MembersResult>('members', room);
    return members.length === count ? members : null;
  });
  await client.close();
  return found[0]!;
}

describe('roomcast pub, through the death of a node', () => {
  it('publishes every line once and in order through another node', async () => {
    const redis = await RedisServer.start();
    const cluster = await Cluster.start({ redis: redis.url, nodes: 2, env: ENV });
    try {
      const [first, second] = cluster.urls as [string, string];
      const room = newRoom();
      const pub = start(['pub', room, '--results', '--url', first, '--url', second]);
      pub.write(`${numbers(1, 3000).join('\n')}\n`);
      await pub.printed(500);
      await cluster.kill(0);
      const { code, stderr } = await pub.end(`${numbers(3001, 6000).join('\n')}\n`).ended;
      expect(code).toBe(0);
      expect(stderr).toMatch(/^no connection: .*; trying again\nconnected\n$/s);
      expect(pub.lines).toHaveLength(6000);
      const { stdout } = await run(['history', room, '--all', '--url', second]);
      expect(dataOf(stdout)).toEqual(numbers(1, 6000));
    } finally {
      await cluster.dispose();
      await redis.dispose();
    }
  }, 60_000);
});

describe('roomcast sub', () => {
  it('prints JSON lines, of what is kept and of what comes', async () => {
    const room = newRoom();
    await store(room, numbers(1, 10));
    const sub = start(['sub', room, '--last', '2', '--count', '3']);
    await sub.printed(2);
    await run(['pub', room, '{"a": 1}', '--json']);
    const { code, stdout, stderr } = await sub.ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(dataOf(stdout)).toEqual(['9', '10', { a: 1 }]);
    expect(JSON.parse(sub.lines[0]!)).toEqual({
      room,
      epoch: expect.any(String),
      offset: 9,
      time: expect.any(Number),
      sender: expect.any(String),
      data: '9',
    });
  });

  it('takes no more than --count of what is kept', async () => {
    const room = newRoom();
    await store(room, numbers(1, 500));
    const { code, stdout } = await run(['sub', room, '--last', '500', '--count', '7']);
    expect(code).toBe(0);
    expect(dataOf(stdout)).toEqual(numbers(1, 7));
  });

  it('begins after a position that it has printed', async () => {
    const room = newRoom();
    await store(room, numbers(1, 5));
    const { stdout: position } = await run(['sub', room, '--last', '3', '--count', '1', '--format', '%e,%o']);
    const { stdout } = await run([
      'sub',
      room,
      '--since',
      position.trim(),
      '--count',
      '2',
      '--format',
      '%o %d',
    ]);
    expect(stdout).toBe('4 4\n5 5\n');
  });

  it('reads several rooms, and says which', async () => {
    const names = [newRoom(), newRoom()];
    for (const name of names) await store(name, ['x']);
    const { stdout } = await run(['sub', ...names, '--last', '1', '--count', '2', '--format', '%r']);
    expect(stdout.trimEnd().split('\n').sort()).toEqual(names);
  });

  it('ends quietly when nobody reads any more', async () => {
    const room = newRoom();
    await store(room, numbers(1, 1000));
    const sub = start(['sub', room, '--last', '1000']);
    await sub.printed(1);
    sub.stopReading();
    const pub = start(['pub', room]).write('more\n');
    expect(await sub.ended).toMatchObject({ code: 0, stderr: '' });
    pub.kill('SIGKILL');
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('ends in order at %s, with where it stands', async (signal, code) => {
    const room = newRoom();
    const file = join(folder, `signal-${signal}`);
    await store(room, numbers(1, 10));
    const sub = start(['sub', room, '--last', '10', '--position-file', file]);
    await sub.printed(10);
    sub.kill(signal);
    expect(await sub.ended).toMatchObject({ code, stderr: '' });
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ [room]: [expect.any(String), 10] });
  });

  it('loses nothing over kills, with a position file', async () => {
    const room = newRoom();
    const file = join(folder, 'killed');
    const args = ['sub', room, '--last', '0', '--position-file', file, '--format', '%d'];
    const first = start(args);
    await untilMember(room);
    const pub = start(['pub', room]).write(`${numbers(1, 2000).join('\n')}\n`);
    await first.printed(700);
    first.kill('SIGKILL');
    await first.ended;
    // Published while nobody reads.
    expect(await pub.end(`${numbers(2001, 4000).join('\n')}\n`).ended).toMatchObject({ code: 0 });
    const second = start(args);
    await second.printed(1000);
    second.kill('SIGKILL');
    await second.ended;
    const last = start(args);
    await last.until(() => last.lines.at(-1) === '4000', 'the last message');
    last.kill('SIGTERM');
    await last.ended;
    const printed = [first, second, last].flatMap(({ lines }) => lines);
    // Some come twice; without those, all come, and in order.
    expect([...new Set(printed)]).toEqual(numbers(1, 4000));
    expect(JSON.parse(readFileSync(file, 'utf8'))[room][1]).toBe(4000);
  }, 60_000);

  it('goes on from where it joined, if it was killed before the first message', async () => {
    const room = newRoom();
    const file = join(folder, 'nothing-yet');
    await store(room, numbers(1, 3));
    const sub = start(['sub', room, '--position-file', file]);
    await untilText(file, room);
    sub.kill('SIGKILL');
    await sub.ended;
    await store(room, ['while away']);
    const { stdout } = await run(['sub', room, '--position-file', file, '--count', '1']);
    expect(dataOf(stdout)).toEqual(['while away']);
  });

  it('neither loses messages nor keeps them in memory when it is read slowly', async () => {
    const room = newRoom();
    const count = 30_000;
    const sub = start(['sub', room, '--count', String(count), '--format', '%d'], {
      reads: false,
      asInstalled: true,
    });
    await untilMember(room);
    const before = sub.peakBytes;
    const fat = numbers(1, count).map((number) => `${number} ${'x'.repeat(2000)}`);
    await publish(room, fat);
    // 60 MB have passed by.
    expect(sub.peakBytes - before).toBeLessThan(60_000_000);
    sub.read();
    const { code, stdout, stderr } = await sub.ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.trimEnd().split('\n')).toEqual(fat);
  }, 120_000);

  it('says that messages are lost where it is read slowly and nothing is kept', async () => {
    const room = 'live:slow';
    const sub = start(['sub', room, '--timeout', '60'], { reads: false });
    await untilMember(room);
    const pub = start(['pub', room]);
    pub.write(`${'x'.repeat(10_000)}\n`.repeat(1000));
    await sub.until(() => sub.stderr !== '', 'a remark');
    expect(sub.stderr).toBe(
      `${room}: the output is read too slowly, and the room keeps no history: messages are lost\n`,
    );
  });

  it('comes back when its node does, and says so', async () => {
    const room = newRoom();
    const flags = ['--port', String(await freePort())];
    const first = await NodeProcess.start({ flags, env: ENV });
    const sub = start(['sub', room, '--url', first.url, '--count', '1']);
    await untilMember(room, { at: first });
    await first.kill();
    await sub.until(() => sub.stderr.includes('trying again'), 'a remark');
    const second = await NodeProcess.start({ flags, env: ENV });
    await sub.until(() => sub.stderr.endsWith('connected\n'), 'another remark');
    await run(['pub', room, 'again', '--url', second.url]);
    const { code, stdout } = await sub.ended;
    expect(code).toBe(0);
    expect(dataOf(stdout)).toEqual(['again']);
    await second.stop();
  });
});

function untilText(file: string, text: string): Promise<boolean> {
  return waitFor(() => readFileSync(file, 'utf8').includes(text), { for: `${text} in ${file}` });
}

describe('the bounds of a command', () => {
  const nowhere = ['--url', 'ws://127.0.0.1:1'];

  it.each([
    ['sub, quiet', ['sub', 'quiet', '--timeout', '0.5'], 124, /^stopped after 0.5 s\n$/],
    ['sub, without a node', ['sub', 'x', '--timeout', '0.5', ...nowhere], 124, /stopped after 0.5 s\n$/],
    ['pub, without a node', ['pub', 'x', 'y', '--timeout', '0.5', ...nowhere], 124, /stopped after 0.5 s\n$/],
    [
      'history, without a node',
      ['history', 'x', '--timeout', '0.5', ...nowhere],
      124,
      /stopped after 0.5 s\n$/,
    ],
    [
      'members, without a node',
      ['members', 'x', '--timeout', '0.5', ...nowhere],
      124,
      /stopped after 0.5 s\n$/,
    ],
    ['sub, idle', ['sub', 'quiet', '--idle', '0.5'], 0, /^$/],
    [
      'sub, idle below its count',
      ['sub', 'quiet', '--idle', '0.5', '--count', '2'],
      124,
      /^0 of 2 messages came/,
    ],
    [
      'sub, idle without a node',
      ['sub', 'x', '--idle', '0.5', ...nowhere],
      4,
      /no connection, and nothing came/,
    ],
    ['sub, no node', ['sub', 'x', '--connect-timeout', '0.5', ...nowhere], 4, /ECONNREFUSED/],
    ['pub, no node', ['pub', 'x', 'y', '--connect-timeout', '0.5', ...nowhere], 4, /ECONNREFUSED/],
    ['history, no node', ['history', 'x', '--connect-timeout', '0.5', ...nowhere], 4, /ECONNREFUSED/],
    ['members, no node', ['members', 'x', '--connect-timeout', '0.5', ...nowhere], 4, /ECONNREFUSED/],
  ])('hold: %s', async (_, args, code, says) => {
    const ended = await run(args);
    expect({ code: ended.code, stdout: ended.stdout }).toEqual({ code, stdout: '' });
    expect(ended.stderr).toMatch(says);
  });

  it('hold while the input of pub is silent', async () => {
    const { code, stderr } = await start(['pub', newRoom(), '--timeout', '1.5']).write('x\n').ended;
    expect(code).toBe(124);
    expect(stderr).toBe('stopped after 1.5 s\n1 of 1 messages acknowledged\n');
  });

  it('hold for a sub that nobody reads', async () => {
    const room = newRoom();
    await store(
      room,
      numbers(1, 2000).map((number) => number + 'x'.repeat(2000)),
    );
    const sub = start(['sub', room, '--last', '2000', '--timeout', '2'], { reads: false });
    await sub.until(() => sub.stderr !== '', 'its last line');
    sub.read();
    expect((await sub.ended).code).toBe(124);
  });
});

describe('a command at a node whose Redis is away', () => {
  it('says once what it waits for, and gives up with 4 and the reason', async () => {
    const redis = await RedisServer.start();
    const lost = await NodeProcess.start({ flags: ['--host', '127.0.0.1', '--redis', redis.url], env: ENV });
    try {
      await redis.kill();
      // Resolves once the node knows.
      await untilReadyz(lost.url, 503);
      const at = (...args: string[]) => run([...args, '--url', lost.url]);
      const [pub, signal, idle] = await Promise.all([
        at('pub', 'a', 'x', '--connect-timeout', '3'),
        at('pub', 'a', 'x', '--ephemeral'),
        at('sub', 'a', '--idle', '3'),
      ]);
      expect([pub, signal, idle].map(({ code }) => code)).toEqual([4, 4, 4]);
      const down = 'unavailable: redis .* link is down: .*';
      const cannotPublish = `nothing can be published in a now: ${down}`;
      const cannotJoin = `a cannot be joined now: ${down}`;
      expect(pub.stderr).toMatch(
        new RegExp(`^${cannotPublish}; trying again\\ngave up after 3 s: ${cannotPublish}\\n$`),
      );
      expect(signal.stderr).toMatch(new RegExp(`^${down}\\n$`));
      expect(idle.stderr).toMatch(
        new RegExp(`^${cannotJoin}; trying again\\nnothing came for 3 s: ${cannotJoin}\\n$`),
      );
    } finally {
      await lost.stop();
      await redis.dispose();
    }
  });
});

describe('a command at a node that asks for tokens', () => {
  it.each([
    ['sub', ['sub', 'x']],
    ['pub', ['pub', 'x', 'y']],
    ['history', ['history', 'x']],
    ['members', ['members', 'x']],
  ])('%s is refused with a wrong token, which it does not print', async (_, args) => {
    const wrong = await token(
      { sub: 'ann' },
      { key: secretKey('a secret that the node does not have, 32+') },
    );
    const { code, stderr } = await run(args, { env: { ROOMCAST_URL: guarded.url, ROOMCAST_TOKEN: wrong } });
    expect(code).toBe(3);
    expect(stderr).toContain('refused');
    expect(stderr).not.toContain(wrong);
  });

  it('is refused with a token that has expired', async () => {
    const old = await token({ sub: 'ann', exp: secondsFromNow(-60) });
    const { code, stderr } = await run(['sub', 'x', '--token', old], { env: { ROOMCAST_URL: guarded.url } });
    expect(code).toBe(3);
    expect(stderr).toContain('expired');
  });

  it('is refused in a room that its token does not grant', async () => {
    const some = await token({ sub: 'ann', rooms: [{ match: 'mine', join: true, publish: true }] });
    const env = { ROOMCAST_URL: guarded.url, ROOMCAST_TOKEN: some };
    expect(await run(['pub', 'mine', 'x'], { env })).toMatchObject({ code: 0 });
    expect(await run(['pub', 'other', 'x'], { env })).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('forbidden'),
    });
    const sub = await run(['sub', 'mine', 'other'], { env });
    expect(sub).toMatchObject({ code: 3, stderr: expect.stringMatching(/^other: forbidden/) });
    const signals = await run(['pub', 'other', 'x', '--ephemeral'], { env });
    expect(signals).toMatchObject({ code: 3, stderr: expect.stringContaining('forbidden') });
  });

  it('is refused with a token of a user who was revoked', async () => {
    const good = await token({ sub: 'eve' });
    const revoked = await fetch(`${guarded.url}/v1/revocations`, {
      method: 'POST',
      headers: { authorization: `Bearer ${API_KEY}` },
      body: '{"user": "eve", "forMs": 60000}',
    });
    expect(revoked.status).toBe(200);
    const env = { ROOMCAST_URL: guarded.url, ROOMCAST_TOKEN: good };
    expect(await run(['sub', 'x'], { env })).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(
        /token_revoked: .*; another token may be accepted, and roomcast revoke --list/,
      ),
    });
  });

  it('publishes where only members may, if it joins', async () => {
    const env = { ROOMCAST_URL: guarded.url, ROOMCAST_TOKEN: await token({ sub: 'ann' }) };
    const outside = await run(['pub', 'members:1', 'x'], { env });
    expect(outside).toMatchObject({ code: 3, stderr: expect.stringContaining('with --join, pub joins it') });
    expect(await run(['pub', 'members:1', 'x', '--join'], { env })).toMatchObject({ code: 0, stderr: '' });
    const signals = await run(['pub', 'members:1', 'x', '--join', '--ephemeral'], { env });
    expect(signals).toMatchObject({ code: 0, stderr: '' });
    const none = await run(['pub', '$user:bob', 'x', '--join'], { env });
    expect(none).toMatchObject({ code: 3, stderr: expect.stringContaining('forbidden') });
  });

  it('reads its token from a file, and again before it expires', async () => {
    const file = join(folder, 'token');
    writeFileSync(file, `${await token({ sub: 'ann', exp: secondsFromNow(5) })}\n`);
    const room = newRoom();
    const sub = start(['sub', room, '--token-file', file], { env: { ROOMCAST_URL: guarded.url } });
    const credentials = await token({ sub: 'bob' });
    const before = await untilMember(room, { at: guarded, credentials });
    writeFileSync(file, await token({ sub: 'ann', info: 'fresh', exp: secondsFromNow(60) }));
    // What the fresh token says is shown beside the same connection.
    const isFresh = async () => {
      const member = await untilMember(room, { at: guarded, credentials });
      return member.info === 'fresh' ? member : null;
    };
    const after = await waitFor(isFresh, { timeoutMs: 10_000, for: 'the fresh token' });
    expect(after.connection).toBe(before.connection);
    expect(sub.stderr).toBe('');
    const env = { ROOMCAST_URL: guarded.url, ROOMCAST_TOKEN: credentials };
    await run(['pub', room, 'still here'], { env });
    await sub.printed(1);
    expect(dataOf(sub.stdout)).toEqual(['still here']);
  });

  it('fails where the file with the token cannot be read', async () => {
    const { code, stderr } = await run(['sub', 'x', '--token-file', join(folder, 'none')]);
    expect(code).toBe(1);
    expect(stderr).toContain('--token-file: ENOENT');
  });

  it('takes a token that roomcast minted', async () => {
    const auth = { ROOMCAST_AUTH_SECRET: SECRET };
    const minted = await run(['token', 'mint', '--user', 'ann', '--room', 'chat:*', '--room', 'news=join'], {
      env: auth,
    });
    expect(minted).toMatchObject({ code: 0, stderr: '' });
    const env = { ROOMCAST_URL: guarded.url, ROOMCAST_TOKEN: minted.stdout.trim() };
    expect(await run(['pub', 'chat:lobby', 'hello'], { env })).toMatchObject({ code: 0 });
    expect(await run(['pub', 'news', 'hello'], { env })).toMatchObject({ code: 3 });
    const inspected = await start(['token', 'inspect'], { env: auth }).end(minted.stdout).ended;
    expect(inspected.code).toBe(0);
    expect(JSON.parse(inspected.stdout)).toMatchObject({
      claims: { sub: 'ann' },
      accepted: true,
      checked: true,
    });
  });
});

it('says how to give a token where a node wants one', async () => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  server.on('connection', (socket, { url }) => {
    if (url !== '/silent') socket.close(4501, 'unauthorized');
  });
  try {
    await once(server, 'listening');
    const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const none = await run(['history', 'x', '--url', url]);
    expect(none).toMatchObject({
      code: 3,
      stderr: 'unauthorized; this node wants a token: set ROOMCAST_TOKEN, or give --token-file\n',
    });
    const wrong = await run(['history', 'x', '--url', url], { env: { ROOMCAST_TOKEN: 'x' } });
    expect(wrong).toMatchObject({ code: 3, stderr: 'unauthorized\n' });
    const silent = await run(['history', 'x', '--url', `${url}/silent`, '--connect-timeout', '1']);
    expect(silent).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(/^gave up after 1 s .*: this node wants a token: set ROOMCAST_TOKEN/),
    });
  } finally {
    server.close();
  }
});

it('says what was answered in place of a WebSocket', async () => {
  const message = 'too many connections from this address: limits.connectionsPerAddress is 2';
  const server = createServer((_, response) => {
    response.writeHead(429).end(JSON.stringify({ error: { code: 'limit_exceeded', message } }));
  }).listen(0, '127.0.0.1');
  try {
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const args = ['history', 'x', '--url', `ws://127.0.0.1:${port}`, '--connect-timeout', '1'];
    const { code, stderr } = await run(args);
    expect(code).toBe(4);
    expect(stderr).toContain(`no connection: the answer was 429 Too Many Requests: ${message}; trying again`);
  } finally {
    server.close();
  }
});

describe('roomcast members and history', () => {
  it('print who is here', async () => {
    const room = newRoom();
    start(['sub', room]);
    start(['sub', room]);
    await untilMember(room, { count: 2 });
    const { stdout } = await run(['members', room]);
    const members = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(members).toEqual([1, 2].map(() => ({ connection: expect.any(String), user: null })));
  });

  it('print the newest messages, those after a position, and everything', async () => {
    const room = newRoom();
    await store(room, numbers(1, 250));
    const history = async (...flags: string[]) => dataOf((await run(['history', room, ...flags])).stdout);
    expect(await history()).toEqual(numbers(151, 250));
    expect(await history('--last', '3')).toEqual(['248', '249', '250']);
    expect(await history('--all')).toEqual(numbers(1, 250));
    const { stdout } = await run(['history', room, '--last', '10', '--format', '%e,%o']);
    expect(await history('--since', stdout.split('\n')[0]!)).toEqual(numbers(242, 250));
  });

  it.each(['live:x', 'nobody:wrote:here'])(
    'print nothing of %s, say why that may be, and end well',
    async (room) => {
      const why = `${room}: no messages: nothing was published yet, or its rule keeps no history\n`;
      expect(await run(['history', room])).toEqual({ code: 0, stdout: '', stderr: why });
      expect(await run(['history', room, '--quiet'])).toEqual({ code: 0, stdout: '', stderr: '' });
    },
  );
});

describe('a position file', () => {
  it('is refused where it is none, before anything is printed, and stays', async () => {
    const file = join(folder, 'other.json');
    writeFileSync(file, '{"lobby": 5}');
    const { code, stderr } = await run(['sub', 'x', '--position-file', file]);
    expect(code).toBe(1);
    expect(stderr).toContain('is no position file');
    expect(readFileSync(file, 'utf8')).toBe('{"lobby": 5}');
  });

  it('that cannot be written ends sub before it prints', async () => {
    const room = newRoom();
    await store(room, ['x']);
    const file = join(folder, 'no/such/folder');
    const { code, stdout, stderr } = await run(['sub', room, '--last', '1', '--position-file', file]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('cannot write');
  });

  it('keeps the positions of other rooms, and leaves no other file', async () => {
    const file = join(folder, 'kept-positions');
    writeFileSync(file, '{"elsewhere": ["abc", 7]}');
    const room = newRoom();
    await store(room, ['x']);
    await run(['sub', room, '--last', '1', '--count', '1', '--position-file', file]);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({
      elsewhere: ['abc', 7],
      [room]: [expect.any(String), 1],
    });
    expect(() => statSync(`${file}.tmp`)).toThrow('ENOENT');
  });
});
