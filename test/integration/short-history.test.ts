/** Rooms that keep less than a reconnect takes are told of, before a client finds a gap. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { run } from '../../src/cli/program.ts';
import { TestClient } from '../support/client.ts';
import { readMetric } from '../support/metrics.ts';
import { NodeProcess } from '../support/node-process.ts';
import { NO_PIPES } from '../support/pipes.ts';

let node: NodeProcess;

beforeAll(async () => {
  node = await NodeProcess.start({ env: { ROOMCAST_HISTORY_MESSAGES: '20' } });
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

it('a metric counts them, and the doctor warns', async () => {
  const client = await TestClient.connect(node.wsUrl);
  const short = async () =>
    readMetric(await (await fetch(`${node.url}/metrics`)).text(), 'roomcast_rooms_short_history');
  for (const room of ['busy', 'calm', 'empty']) await client.ok('join', room);
  for (let n = 0; n < 5; n++) await client.ok('publish', 'calm', n);
  expect(await short()).toBe(0);
  expect(await doctorSays()).not.toContain('of messages');
  for (let n = 0; n < 50; n++) await client.ok('publish', 'busy', n);
  expect(await short()).toBe(1);
  expect(await doctorSays()).toMatch(
    /warning .*1 room keeps less than 30 s of messages.* -> raise history.messages/,
  );
  client.socket.terminate();
});
