/** The clients of `--profile load`, against a node without containers. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { NodeProcess } from '../support/node-process.ts';
import { waitFor } from '../support/wait.ts';

const LOAD = fileURLToPath(new URL('../../deploy/load/load.mjs', import.meta.url));
let node: NodeProcess;

beforeAll(async () => {
  node = await NodeProcess.start();
});

afterAll(() => node.kill());

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${node.url}/metrics`)).text();
  const lines = text.split('\n').filter((line) => line.startsWith(name));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

it('join, publish, are cut and come back, and miss nothing', async () => {
  const env = { LOAD_URL: node.wsUrl, LOAD_CONNECTIONS: '20', LOAD_ROOMS: '2', LOAD_CHURN: '20' };
  const load = spawn(process.execPath, [LOAD], { env: { PATH: process.env.PATH, ...env } });
  const ended = once(load, 'close');
  let printed = '';
  for (const stream of [load.stdout, load.stderr]) stream.on('data', (chunk) => (printed += chunk));
  try {
    // Twenty connections, and as many again after cuts.
    await waitFor(
      async () => {
        const opened = await metric('roomcast_connections_opened_total');
        if (opened < 40) throw new Error(`${opened} connections were opened; it printed: ${printed}`);
        return true;
      },
      { timeoutMs: 20_000, intervalMs: 50 },
    );
  } finally {
    load.kill('SIGTERM');
    await ended;
  }
  const [first, ...reports] = printed.trim().split('\n');
  expect(first).toMatch(/^20 connections in 2 rooms/);
  expect(reports.at(-1)).toMatch(/0 gaps, 0 resets, 0 misplaced$/);
  expect(reports.some((line) => /[1-9]\d*\/s acknowledged/.test(line))).toBe(true);
  expect(reports.some((line) => /[1-9]\d*\/s delivered/.test(line))).toBe(true);
});
