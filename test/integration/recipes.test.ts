/** docs/recipes.md: each program compiles, runs against a node with the rules of that page, and does what the text says. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { SignJWT } from 'jose';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { RoomcastClient } from '../../src/client/node.ts';
import { NodeProcess } from '../support/node-process.ts';
import { pythonEnvironment } from '../support/python-environment.ts';
import { ROOT, type Snippet, snippetsOf } from '../support/snippets.ts';
import { waitFor } from '../support/wait.ts';

const run = promisify(execFile);
const API_KEY = 'a-key-of-the-recipes';
const SECRET = 'a secret of the recipes, 32 bytes long';
const snippets = snippetsOf('docs/recipes.md');
const programs = snippets.filter(({ language }) => language === 'ts');

let node: NodeProcess;
let scratch: string;
const children: ChildProcess[] = [];
const clients: RoomcastClient[] = [];

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'roomcast-recipes-'));
  writeApplication();
  await run(join(ROOT, 'node_modules/.bin/tsc'), ['-p', scratch]);
  node = await NodeProcess.start({
    flags: ['--api-key', API_KEY, '--config', join(scratch, 'roomcast.yaml')],
    env: { ROOMCAST_AUTH_SECRET: SECRET, ROOMCAST_AUTH_ANONYMOUS: 'true' },
  });
  await pythonEnvironment();
}, 180_000);

afterEach(async () => {
  for (const child of children.splice(0)) child.kill();
  for (const client of clients.splice(0)) client.close();
});

afterAll(async () => {
  await node.stop();
  rmSync(scratch, { recursive: true });
});

/** The programs as modules that share the client of the first one, as an application has it. */
function writeApplication(): void {
  mkdirSync(join(scratch, 'node_modules'));
  symlinkSync(join(ROOT, 'dist/client-package'), join(scratch, 'node_modules/roomcast-client'));
  for (const name of ['ws', '@types']) {
    symlinkSync(join(ROOT, 'node_modules', name), join(scratch, 'node_modules', name));
  }
  const [first, ...others] = programs;
  const anyNode = first!.code.replace(
    "new RoomcastClient('ws://localhost:8080')",
    'new RoomcastClient(process.env.URL!, process.env.TOKEN ? { token: process.env.TOKEN } : {})',
  );
  writeFileSync(join(scratch, 'client.ts'), anyNode);
  for (const { line, code } of others) {
    writeFileSync(
      join(scratch, `line-${line}.ts`),
      `import { client } from './client.js';\n${code}\nexport {};\n`,
    );
  }
  const yaml = snippets.filter(({ language }) => language === 'yaml');
  expect(yaml).toHaveLength(1);
  writeFileSync(join(scratch, 'roomcast.yaml'), yaml[0]!.code);
  writeFileSync(join(scratch, 'package.json'), '{"type": "module"}');
  const compilerOptions = { module: 'nodenext', target: 'es2022', strict: true, types: ['node'] };
  writeFileSync(join(scratch, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
}

/** A program of the page that runs. */
interface Running {
  prints(pattern: RegExp): Promise<void>;
}

async function tokenOf(user: string): Promise<string> {
  const token = new SignJWT({}).setProtectedHeader({ alg: 'HS256' }).setSubject(user).setExpirationTime('1h');
  return token.sign(new TextEncoder().encode(SECRET));
}

/** The program that holds `piece`, as a user. `then`: what the application does besides, with what the program exports. */
async function start(piece: string, user: string, then = ''): Promise<Running> {
  const [program, ...others] = programs.slice(1).filter(({ code }) => code.includes(piece));
  expect([piece, others]).toEqual([piece, []]);
  const main = `import * as program from './line-${program!.line}.js';\n${then}`;
  writeFileSync(join(scratch, `main-${program!.line}.js`), main);
  const env = { PATH: process.env.PATH, URL: node.wsUrl, TOKEN: await tokenOf(user) };
  const child = spawn(process.execPath, [join(scratch, `main-${program!.line}.js`)], { env });
  children.push(child);
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (printed += text));
  return {
    async prints(pattern) {
      const seen = () => {
        if (child.exitCode) throw new Error(`it ended with ${child.exitCode}: ${printed}`);
        return pattern.test(printed);
      };
      const why = { timeoutMs: 15_000, for: `${pattern} in what "${piece}" prints` };
      await waitFor(seen, why).catch((error: Error) => {
        throw new Error(`${error.message}\nIt printed: ${printed}`);
      });
    },
  };
}

async function as(user: string): Promise<RoomcastClient> {
  const client = new RoomcastClient(node.wsUrl, { token: await tokenOf(user) });
  clients.push(client);
  return client;
}

/** Joined, so that what others send is heard. */
async function friend<T, S, P>(room: string, presence?: P) {
  const client = await as('bob');
  const joined = client.room<T, S, P>(room, presence === undefined ? {} : { presence });
  await new Promise((resolve) => joined.on('joined', resolve));
  return joined;
}

/** Someone was here before, and has acknowledged what comes up to an offset. */
async function visit(user: string, name: string, offset: number | null = null): Promise<void> {
  const client = await as(user);
  const room = client.room(name, { resume: true });
  await new Promise((resolve) => room.on('joined', resolve));
  if (offset !== null) await room.ack([room.position![0], offset]);
  client.close();
}

async function api(path: string, body?: object): Promise<Record<string, unknown>> {
  const response = await fetch(`${node.url}/v1/${path}`, {
    headers: { Authorization: `Bearer ${API_KEY}` },
    ...(body !== undefined && { method: 'POST', body: JSON.stringify(body) }),
  });
  expect([path, response.status]).toEqual([path, 200]);
  return (await response.json()) as Record<string, unknown>;
}

function blockWith(language: string, piece: string): Snippet {
  const [found, ...others] = snippets.filter((one) => one.language === language && one.code.includes(piece));
  expect([piece, others]).toEqual([piece, []]);
  return found!;
}

const here = (code: string) =>
  code.replaceAll('localhost:8080', new URL(node.url).host).replaceAll('<API key>', API_KEY);

async function newestText(): Promise<unknown> {
  const { messages } = await api('rooms/chat:lobby/history?limit=1');
  return ((messages as unknown[][])[0]![5] as { text: string }).text;
}

it('chat history: enters with the newest messages and reads older ones', async () => {
  for (let n = 1; n <= 60; n++) await api('publish', { room: 'chat:lobby', data: { text: `m${n}` } });
  const program = await start(
    'older(offset',
    'ann',
    `const page = await program.older(11); console.log('older', page.length, page[0].offset, page.at(-1).data.text);`,
  );
  await program.prints(/^null m11$[\s\S]*^null m60$[\s\S]*^ann hello$/m);
  await program.prints(/^older 10 1 m10$/m);
});

it('typing: shows who types, forgets it, and tells others once a second', async () => {
  const bob = await friend<unknown, string, unknown>('chat:lobby');
  const heard: unknown[] = [];
  bob.on('signal', ({ sender, data }) => heard.push([sender, data]));
  // The friend answers only what it has heard: so the program is in the room by then.
  const program = await start(
    'onInput',
    'ann',
    `const { client } = await import('./client.js');
     const room = client.room('chat:lobby');
     room.on('joined', () => { program.onInput(); program.onInput(); });`,
  );
  await waitFor(() => heard.length > 0, { timeoutMs: 10_000, for: 'a signal' });
  bob.signal('typing');
  await program.prints(/^\[ 'bob' \] typing$[\s\S]*^\[\] typing$/m);
  expect(heard).toEqual([['ann', 'typing']]);
});

it('who is here: names, who comes and goes, and what changes', async () => {
  const program = await start('setPresence', 'ann');
  await program.prints(/^1 \[ 'Ann' \]$/m);
  const bob = await friend('chat:lobby', { name: 'Bob' });
  await program.prints(/^2 \[ 'Ann', 'Bob' \]$[\s\S]*^Bob joined$/m);
  const { members } = await bob.listMembers();
  expect(members.find(({ user }) => user === 'ann')!.data).toEqual({ name: 'Ann', away: true });
  bob.leave();
  await program.prints(/^Bob left$/m);
});

it('cursors by signals: those who are there see the moves', async () => {
  const bob = await friend<unknown, object, unknown>('chat:lobby');
  const program = await start('room.signal({ x: 10', 'ann', `console.log('runs');`);
  await program.prints(/^runs$/m);
  const members = async () => (await bob.listMembers()).members.map(({ user }) => user);
  await waitFor(async () => (await members()).includes('ann'), { timeoutMs: 10_000, for: 'ann' });
  bob.signal({ x: 1, y: 2 });
  await program.prints(/^bob 1 2$/m);
});

it('cursors by conflateKey: a newcomer sees where everyone is', async () => {
  await start('isSending', 'ann', `for (let x = 0; x <= 50; x++) void program.move({ x, y: 7 });`);
  const bob = await friend<{ x: number }, unknown, unknown>('cursors:board');
  await waitFor(
    async () => {
      const seen: number[] = [];
      const late = await as('carol');
      const room = late.room<{ x: number }>('cursors:board', { last: 100 });
      room.on('message', ({ data }) => seen.push(data.x));
      await new Promise((resolve) => room.on('joined', resolve));
      return seen.length === 1 && seen[0] === 50;
    },
    { timeoutMs: 10_000, for: 'the newest cursor alone' },
  );
  await bob.publish({ x: 99 }, { conflateKey: 'cursor' });
  const program = await start('isSending', 'dave');
  await program.prints(/^ann 50 7$[\s\S]*^bob 99 undefined$/m);
});

it('notifications: reach the user also later, and each once over all devices', async () => {
  await visit('ann', '$user:ann');
  const { code } = blockWith('sh', '$user:ann');
  await run('bash', ['-c', here(code)]);
  const first = await start('$user:ann', 'ann');
  await first.prints(/^Your order is on its way$/m);
  const acked = async () => (await api(`rooms/${encodeURIComponent('$user:ann')}/acks`)).users;
  await waitFor(async () => JSON.stringify(await acked()) === '[{"user":"ann","offset":1}]', {
    for: 'the ack',
  });
  await api('publish', { room: '$user:ann', data: { text: 'second' } });
  const ann = await as('ann');
  const texts: unknown[] = [];
  const inbox = ann.room<{ text: string }>('$user:ann', { resume: true });
  inbox.on('message', ({ data }) => texts.push(data.text));
  // Listens before anything is awaited: it may have joined by then.
  const joined = new Promise((resolve) => inbox.on('joined', resolve));
  await first.prints(/^second$/m);
  await joined;
  expect(texts).not.toContain('Your order is on its way');
});

it('acknowledged messages: work goes on where it stopped', async () => {
  await visit('worker', 'jobs:mail');
  for (const to of ['a', 'b', 'c']) await api('publish', { room: 'jobs:mail', data: { to } });
  // Another run has done one of them.
  await visit('worker', 'jobs:mail', 1);
  const program = await start('await work(data)', 'worker');
  await program.prints(/^sent to b\nsent to c$/m);
  const acked = async () => (await api('rooms/jobs:mail/acks')).users;
  await waitFor(async () => JSON.stringify(await acked()) === '[{"user":"worker","offset":3}]', {
    for: 'the ack',
  });
});

it('streaming: shows what is there, follows the rest and ends with the whole', async () => {
  await api('publish', { room: 'answer:1', data: { text: 'A room ' } });
  const program = await start('answer:1', 'ann');
  await program.prints(/^A room $/m);
  await api('publish', { room: 'answer:1', data: { text: 'is' } });
  await program.prints(/^A room is$/m);
  await api('publish', { room: 'answer:1', data: { text: 'A room is it.', done: true } });
  await program.prints(/^A room is it\.$/m);
});

it('publishes with curl', async () => {
  const { stdout } = await run('bash', ['-c', here(blockWith('sh', 'from curl').code)]);
  expect(Object.keys(JSON.parse(stdout))).toEqual(['epoch', 'offset']);
  expect(await newestText()).toBe('hello from curl');
});

it('publishes with PHP, where there is one', async () => {
  const found = await run('php', ['--version']).catch(() => null);
  if (found === null) return console.warn('skipped: there is no php on the PATH');
  writeFileSync(join(scratch, 'publish.php'), fresh(blockWith('php', 'from PHP').code));
  const { stdout } = await run('php', [join(scratch, 'publish.php')]);
  expect(stdout).toMatch(/^\d+\n$/);
  expect(await newestText()).toBe('hello from PHP');
});

it.each(['hello from Python', 'hello from roomcast'])('publishes with Python: %s', async (text) => {
  const found = await pythonEnvironment();
  if ('missing' in found) return console.warn(`skipped: there is no ${found.missing}`);
  writeFileSync(join(scratch, 'publish.py'), fresh(blockWith('python', text).code));
  const { stdout } = await run(found.python, [join(scratch, 'publish.py')], { env: found.env });
  expect(stdout).toMatch(/^\d+\n$/);
  expect(await newestText()).toBe(text);
});

/** With a key of its own: the page shows the same one several times, and a key is published once. */
function fresh(code: string): string {
  return here(code).replace('order-17-paid', `order-${++orders}`);
}
let orders = 100;
