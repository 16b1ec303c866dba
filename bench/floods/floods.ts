/** `npm run bench -- floods`: how each attack on a node affects uninvolved clients. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';
import { markdownOf } from '../report/table.ts';
import { RunningRedis } from '../server/running-redis.ts';
import { processMemoryBytes } from '../system/memory.ts';
import { PinnedProcess } from '../system/pinned.ts';
import { ATTACKS, type Attack, CROWDED_ROOM, FULL_ROOM } from './attacks.ts';
import { Bystanders, type Figures } from './bystander.ts';

const ATTACKER = fileURLToPath(new URL('./attacker.js', import.meta.url));
const PHASE_MS = { before: 2000, during: 5000, after: 2000 } as const;
const HEAD = [
  'attack',
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

type Say = (text: string) => void;

export interface FloodOptions {
  readonly roomcastMain: string;
  /** Names of attacks, or parts of names; empty: all. */
  readonly only: readonly string[];
  readonly backplanes: readonly ('memory' | 'redis')[];
}

/** Returns the exit code: 1 if a bystander waited too long, or missed something. */
export async function runFloods(options: FloodOptions, print: Say, say: Say): Promise<number> {
  const attacks = ATTACKS.filter(
    ({ name }) => options.only.length === 0 || options.only.some((part) => name.includes(part)),
  );
  for (const backplane of options.backplanes) {
    const rows: string[][] = [];
    for (const attack of attacks) {
      rows.push(await measure(attack, backplane, options.roomcastMain));
      say(`${backplane}: ${rows.at(-1)!.join(' | ')}`);
    }
    const title = backplane === 'memory' ? 'Memory backplane' : 'Two nodes with Redis, one attacked';
    print(`\n${title}\n\n${markdownOf([HEAD, ...rows])}\n`);
  }
  return 0;
}

/** New nodes for each attack, so that none pays for the previous one. */
async function measure(attack: Attack, backplane: 'memory' | 'redis', main: string): Promise<string[]> {
  const redis = backplane === 'redis' ? await RunningRedis.start(null) : null;
  const nodes: PinnedProcess[] = [];
  for (let i = 0; i < (redis === null ? 1 : 2); i++) nodes.push(await startNode(main, redis?.url ?? null));
  const crowd = await prepare(attack, nodes[0]!.port);
  const bystanders = new Bystanders(nodes.map(({ port }) => `http://127.0.0.1:${port}`));
  try {
    await bystanders.gather();
    return await phases(attack, nodes[0]!, bystanders);
  } finally {
    bystanders.leave();
    for (const socket of crowd) socket.terminate();
    await Promise.all(nodes.map((node) => node.stop()));
    await redis?.stop();
  }
}

function startNode(main: string, redisUrl: string | null): Promise<PinnedProcess> {
  const redis = redisUrl === null ? [] : ['--redis', redisUrl];
  return PinnedProcess.start(
    null,
    (port) => [process.execPath, main, 'serve', '--host', '127.0.0.1', '--port', String(port), ...redis],
    { PATH: process.env.PATH, ROOMCAST_LOG_LEVEL: 'warn', ROOMCAST_DRAIN_WINDOW_MS: '0' },
  );
}

async function phases(attack: Attack, node: PinnedProcess, bystanders: Bystanders): Promise<string[]> {
  const before = await phase(node, bystanders, PHASE_MS.before);
  const attacker = fork(ATTACKER, [attack.name, String(node.port)]);
  const during = await phase(node, bystanders, PHASE_MS.during);
  const told = once(attacker, 'message');
  attacker.send('stop');
  const [closes] = (await told) as [Record<string, number>];
  const after = await phase(node, bystanders, PHASE_MS.after);
  const all = [before, during, after];
  const figures: Figures[] = [];
  for (const one of all) figures.push(await bystanders.figures(one.phase));
  const column = (of: (figures: Figures) => string) => figures.map(of);
  return [
    attack.name,
    ...column(({ p50Ms }) => p50Ms.toFixed(1)),
    ...column(({ p99Ms }) => p99Ms.toFixed(0)),
    ...column(({ delivered }) => `${(delivered * 100).toFixed(1)}%`).slice(1),
    ...column(({ healthMs }) => healthMs.toFixed(0)),
    ...all.map(({ megabytes }) => megabytes.toFixed(0)),
    Object.entries(closes)
      .map(([code, times]) => `${code} (${times})`)
      .join(', ') || '-',
  ];
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
  if (!name.startsWith('history') && !name.startsWith('joins')) return [];
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
