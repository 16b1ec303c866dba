/** Rooms that keep less than a reconnect takes are told of, before a client finds a gap. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { run } from '../../src/cli/program.ts';
import { TestClient } from '../support/client.ts';
import { readMetric } from '../support/metrics.ts';
import { NodeProcess } from '../support/node-process.ts';
import { NO_PIPES } from '../support/pipes.ts';

let node: NodeProcess;

beforeAll(async () => {
  const rooms = [{ match: 'large', history: { messages: 1_000, bytes: 65_536 } }];
  const env = { ROOMCAST_HISTORY_MESSAGES: '20', ROOMCAST_ROOMS: JSON.stringify(rooms) };
  node = await NodeProcess.start({ env });
});

afterAll(() => node.stop());

async function doctorSays(): Promise<string> {
  let said = '';
  const write = (text: string) => {
    said += text;
  };
  const serve = () => Promise.reject(new Error('a doctor runs no node'));
  const io = {
    env: {},
    terminal: false,
    stderrTerminal: false,
    stdout: write,
    stderr: write,
    pipes: NO_PIPES,
    serve,
  };
  await run(['doctor', '--node', node.url], io);
  return said;
}

it('metrics count them and what they lost, and the doctor warns', async () => {
  const client = await TestClient.connect(node.wsUrl);
  const read = async () => (await fetch(`${node.url}/metrics`)).text();
  const short = async () => readMetric(await read(), 'roomcast_rooms_short_history');
  const lost = async () => readMetric(await read(), 'roomcast_history_trimmed_early_messages_total');
  for (const room of ['busy', 'calm', 'empty', 'large']) await client.ok('join', room);
  for (let n = 0; n < 5; n++) await client.ok('publish', 'calm', n);
  expect(await short()).toBe(0);
  expect(await lost()).toBe(0);
  expect(await doctorSays()).not.toContain('of messages');
  for (let n = 0; n < 50; n++) await client.ok('publish', 'busy', n);
  expect(await short()).toBe(1);
  expect(await lost()).toBe(30);
  expect(await doctorSays()).toMatch(
    /warning .*1 room keeps less than 30 s of messages.* -> raise history.messages/,
  );
  for (let n = 0; n < 8; n++) await client.ok('publish', 'large', 'x'.repeat(20_000));
  expect(await short()).toBe(2);
  expect(await lost()).toBe(35);
  client.socket.terminate();
});
