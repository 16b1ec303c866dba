import { execFile, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestClient } from '../support/client.ts';
import { NodeProcess } from '../support/node-process.ts';

const SCRIPT = fileURLToPath(new URL('../support/python_client.py', import.meta.url));
const hasPython =
  spawnSync('python3', ['-c', 'import sys; sys.exit(sys.version_info < (3, 8))']).status === 0;
if (!hasPython) console.warn('skipped: the Python client needs python3, 3.8 or newer, on the PATH');

const FROM_PYTHON = [{ text: 'grüß Gott 👋', n: -1, list: [1, 2.5, null, true] }, 'x'.repeat(300)];
const FROM_US = { from: 'us', big: 2 ** 40 };

describe.skipIf(!hasPython)('a Python client without libraries', () => {
  let node: NodeProcess;

  beforeAll(async () => {
    node = await NodeProcess.start();
  });

  afterAll(() => node?.stop());

  it.each(['json', 'msgpack'] as const)('joins, publishes and receives in %s', async (encoding) => {
    const room = `python:${encoding}`;
    const ours = await TestClient.connect(node.wsUrl);
    await ours.ok('join', room);
    const [frames] = await Promise.all([runPython(node.wsUrl, encoding, room), answer(ours, room)]);

    expect(frames[0]).toMatchObject(['hello', { node: expect.any(String), version: 1 }]);
    const received = frames.filter(([type]) => type === 'message');
    expect(received.map(([, , offset]) => offset)).toEqual([1, 2, 3]);
    expect(received.map(([, , , , , data]) => data)).toEqual([...FROM_PYTHON, FROM_US]);
    expect(received).toEqual(ours.messages(room));
    const replies = frames.filter(([type]) => type === 'ok').map(([, id]) => id);
    expect(replies).toEqual([1, 2, 3]);
    await ours.close();
  });
});

/** Publishes once the last of Python's messages is here. */
async function answer(ours: TestClient, room: string): Promise<void> {
  await ours.next((frame) => frame[0] === 'message' && frame[5] === FROM_PYTHON[1]);
  await ours.ok('publish', room, FROM_US);
}

/** The frames that it got until it had three messages; rejects with what it complained of. */
async function runPython(url: string, encoding: string, room: string): Promise<unknown[][]> {
  const values = FROM_PYTHON.map((value) => JSON.stringify(value));
  const args = [SCRIPT, url, encoding, room, '--messages', '3', '--publish', ...values];
  const { stdout } = await promisify(execFile)('python3', args);
  const lines = stdout.trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as unknown[]);
}
