/** The built `roomcast/testing` runs where the native addon cannot. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { ROOT } from '../support/snippets.ts';

/** Prints the native addons that the process has loaded, after a broker has done some work. */
const USES_TESTING = `
  import { startTestBroker } from 'roomcast/testing';
  const broker = await startTestBroker();
  const socket = new broker.WebSocket(broker.url + '?token=' + (await broker.token({ user: 'ann' })));
  await broker.settled();
  const { user } = broker.connections[0];
  broker.delay(60_000);
  socket.send('["ping", 1]');
  const held = process.getActiveResourcesInfo();
  await broker.stop();
  const left = process.getActiveResourcesInfo();
  const addons = process.report.getReport().sharedObjects.filter((file) => file.endsWith('.node'));
  console.log(JSON.stringify({ user, state: socket.readyState, addons, held, left }));
`;
const USES_SERVER = `
  import 'roomcast';
  console.log(process.report.getReport().sharedObjects.filter((file) => file.endsWith('.node')).length);
`;

async function run(code: string): Promise<unknown> {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code], {
    cwd: ROOT,
  });
  return JSON.parse(stdout);
}

it('a test broker loads no native addon, and leaves nothing that keeps the process alive', async () => {
  const { held, left, ...rest } = (await run(USES_TESTING)) as { held: string[]; left: string[] };
  expect(rest).toEqual({ user: 'ann', state: 3, addons: [] });
  // While a message is on its way, a port keeps the process alive.
  expect(held).toContain('MessagePort');
  for (const kind of ['MessagePort', 'Timeout', 'Immediate']) expect(left).not.toContain(kind);
  // That an addon would be seen.
  expect(await run(USES_SERVER)).toBeGreaterThan(0);
});
