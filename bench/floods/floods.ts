/** `npm run bench -- floods`: how each attack on a node affects uninvolved clients. */
import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';
import { markdownOf } from '../report/table.ts';
import { RunningRedis } from '../server/running-redis.ts';
import { processMemoryBytes } from '../system/memory.ts';
import { PinnedProcess, pinThisProcess } from '../system/pinned.ts';
import { ATTACKS, type Attack, CROWDED_ROOM, FULL_ROOM } from './attacks.ts';
import { Bystanders, type Figures } from './bystander.ts';
import { ALLOWED_MB, ALLOWED_MS, brokenPromises } from './verdict.ts';

const ATTACKER = fileURLToPath(new URL('./attacker.js', import.meta.url));
const PHASE_MS = { before: 2000, during: 5000, after: 2000 } as const;
const HEAD = [
  'attack',
  'promise',
  'p50 ms before',
  'during',
  'after',
  'p99 ms before',
  'during',
  'after',
  'delivered during',
  'after',
  '/healthz ms before',
  'during',
  'after',
  'node MB before',
  'during',
  'after',
  'closed with',
];

/** The attacker has an address of its own on this machine; the limits hold for it as for one on the internet. */
const AS_FROM_AFAR = { ROOMCAST_LIMITS_LIMIT_PRIVATE_ADDRESSES: 'true' };

const PROMISE = `p99 of bystanders at most twice that before or ${ALLOWED_MS} ms, during and after; everything delivered; at most ${ALLOWED_MB.during} MB more during, ${ALLOWED_MB.after} MB after`;

type Say = (text: string) => void;

export interface FloodOptions {
  readonly roomcastMain: string;
  /** Names of attacks, or parts of names; empty: all. */
  readonly only: readonly string[];
  readonly backplanes: readonly ('memory' | 'redis')[];
  /** The nodes have one to themselves; attacker, bystanders and Redis share the other. */
  readonly cores: { readonly server: number; readonly redis: number };
}

/** A row that ends sooner than this had nothing wait. For the announcement. */
const ROW_SECONDS = 13;

/** Returns the exit code: 1 if a bystander waited too long or missed something, or the node grew too much. */
export async function runFloods(options: FloodOptions, print: Say, say: Say): Promise<number> {
  pinThisProcess(options.cores.redis);
  let disturbed = 0;
  const attacks = ATTACKS.filter(
    ({ name }) => options.only.length === 0 || options.only.some((part) => name.includes(part)),
  );
  const minutes = (attacks.length * options.backplanes.length * ROW_SECONDS) / 60;
  say(
    `${attacks.length} attacks on ${options.backplanes.join(' and ')}: about ${Math.ceil(minutes)} minutes`,
  );
  for (const backplane of options.backplanes) {
    const rows: string[][] = [];
    const beganAtMs = performance.now();
    let broken = 0;
    for (const attack of attacks) {
      const { row, isDisturbed } = await measure(attack, backplane, options);
      rows.push(row);
      if (isDisturbed) broken++;
      say(`${backplane}: ${row.join(' | ')}`);
    }
    disturbed += broken;
    const title = backplane === 'memory' ? 'Memory backplane' : 'Two nodes with Redis, one attacked';
    const took = ((performance.now() - beganAtMs) / 60_000).toFixed(1);
    print(`\n${title}\n\n${markdownOf([HEAD, ...rows])}\n`);
    print(`${rows.length - broken} of ${rows.length} kept the promise, in ${took} minutes: ${PROMISE}\n`);
  }
  return disturbed > 0 ? 1 : 0;
}

/** New nodes for each attack, so that none pays for the previous one. */
async function measure(
  attack: Attack,
  backplane: 'memory' | 'redis',
  { roomcastMain, cores }: FloodOptions,
): Promise<Measured> {
  const dir = mkdtempSync(join(tmpdir(), 'roomcast-floods-'));
  const redis = backplane === 'redis' ? await RunningRedis.start(cores.redis) : null;
  const env = attack.isForged === true ? tokenEnv(dir) : {};
  const command = redis === null ? [roomcastMain] : [roomcastMain, '--redis', redis.url];
  const nodes: PinnedProcess[] = [];
  for (let i = 0; i < (redis === null ? 1 : 2); i++) nodes.push(await startNode(cores.server, command, env));
  const crowd = await prepare(attack, nodes[0]!.port);
  const bystanders = new Bystanders(nodes.map(({ port }) => `http://127.0.0.1:${port}`));
  try {
    await bystanders.gather();
    return await phases(attack, nodes[0]!, bystanders, cores.redis);
  } finally {
    bystanders.leave();
    for (const socket of crowd) socket.terminate();
    await Promise.all(nodes.map((node) => node.stop()));
    await redis?.stop();
    rmSync(dir, { recursive: true });
  }
}

function startNode(
  core: number,
  [main, ...flags]: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<PinnedProcess> {
  return PinnedProcess.start(
    core,
    (port) => [process.execPath, main!, 'serve', '--host', '127.0.0.1', '--port', String(port), ...flags],
    {
      PATH: process.env.PATH,
      ROOMCAST_LOG_LEVEL: 'warn',
      ROOMCAST_DRAIN_WINDOW_MS: '0',
      ...AS_FROM_AFAR,
      ...env,
    },
  );
}

/** Tokens are checked with an RSA key, which is the most costly kind; bystanders come without. */
function tokenEnv(dir: string): Record<string, string> {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const file = join(dir, 'public.pem');
  writeFileSync(file, publicKey.export({ type: 'spki', format: 'pem' }));
  return { ROOMCAST_AUTH_PUBLIC_KEY_FILE: file, ROOMCAST_AUTH_ANONYMOUS: 'true' };
}

/** Behind the bystanders on their core: a message that waits for the attacker's own work is no fault of the node. */
function startAttacker(attack: Attack, port: number, core: number): ChildProcess {
  const command = [
    '-c',
    String(core),
    'nice',
    '-n',
    '15',
    process.execPath,
    ATTACKER,
    attack.name,
    String(port),
  ];
  return spawn('taskset', command, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
}

interface Measured {
  readonly row: string[];
  readonly isDisturbed: boolean;
}

async function phases(
  attack: Attack,
  node: PinnedProcess,
  bystanders: Bystanders,
  core: number,
): Promise<Measured> {
  const before = await phase(node, bystanders, PHASE_MS.before);
  const attacker = startAttacker(attack, node.port, core);
  const during = await phase(node, bystanders, PHASE_MS.during);
  const told = once(attacker, 'message');
  attacker.send('stop');
  const [closes] = (await told) as [Record<string, number>];
  const after = await phase(node, bystanders, PHASE_MS.after);
  const all = [before, during, after];
  const figures: Figures[] = [];
  for (const one of all) figures.push(await bystanders.figures(one.phase));
  const megabytes = { before: before.megabytes, during: during.megabytes, after: after.megabytes };
  const broken = brokenPromises([figures[0]!, figures[1]!, figures[2]!], megabytes);
  const column = (of: (figures: Figures) => string) => figures.map(of);
  const row = [
    attack.name,
    broken.length === 0 ? 'kept' : `BROKEN: ${broken.join('; ')}`,
    ...column(({ p50Ms }) => p50Ms.toFixed(1)),
    ...column(({ p99Ms }) => p99Ms.toFixed(0)),
    ...column(({ delivered }) => `${(delivered * 100).toFixed(1)}%`).slice(1),
    ...column(({ healthMs }) => healthMs.toFixed(0)),
    ...all.map(({ megabytes }) => megabytes.toFixed(0)),
    Object.entries(closes)
      .map(([code, times]) => `${code} (${times})`)
      .join(', ') || '-',
  ];
  return { row, isDisturbed: broken.length > 0 };
}

/** Runs a phase. Memory is the highest value seen of the node. */
async function phase(node: PinnedProcess, bystanders: Bystanders, durationMs: number) {
  const current = bystanders.next();
  let most = 0;
  const endMs = performance.now() + durationMs;
  while (performance.now() < endMs) {
    most = Math.max(most, processMemoryBytes(node.pid));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { phase: current, megabytes: most / 1_000_000 };
}

/** Prepares what the attack reads. Returns the sockets that must stay open. */
async function prepare({ name }: Attack, port: number): Promise<WebSocket[]> {
  if (name.startsWith('members')) {
    const crowd: WebSocket[] = [];
    for (let i = 0; i < 10; i++) {
      const more = Array.from({ length: 100 }, () => opened(port));
      crowd.push(...(await Promise.all(more)));
    }
    await Promise.all(crowd.map((socket) => request(socket, ['join', 1, CROWDED_ROOM])));
    return crowd;
  }
  if (!/^(history|joins of 1 MB|unread replies of 1 MB)/.test(name)) return [];
  const socket = await opened(port);
  for (let i = 1; i <= 100; i++) await request(socket, ['publish', i, FULL_ROOM, 'x'.repeat(10_000)]);
  return [socket];
}

async function opened(port: number): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, 'roomcast.v1.json');
  await once(socket, 'open');
  return socket;
}

/** Resolves when the command is answered. */
function request(socket: WebSocket, command: readonly unknown[]): Promise<void> {
  return new Promise((resolve) => {
    const listen = (data: WebSocket.RawData) => {
      if (!data.toString().includes(`["ok",${String(command[1])}`)) return;
      socket.off('message', listen);
      resolve();
    };
    socket.on('message', listen);
    socket.send(JSON.stringify(command));
  });
}
