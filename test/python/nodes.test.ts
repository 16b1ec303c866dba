import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NodeProcess } from '../support/node-process.ts';
import { PYTHON_PACKAGE, pythonEnvironment } from '../support/python-environment.ts';
import { SECRET } from '../support/tokens.ts';

const environment = await pythonEnvironment();
if ('missing' in environment) console.warn(`skipped: the Python package needs ${environment.missing}`);

const API_KEY = 'key-of-the-backend';
const ROOMS = JSON.stringify([
  { match: 'plain:*', history: { messages: 0 } },
  { match: 'acks:*', acks: true },
  { match: 'members:*', publish: 'members' },
  { match: '*', memberEvents: true, history: { messages: 1000 } },
]);

describe.skipIf('missing' in environment)(
  'the Python package against real nodes',
  { timeout: 120_000 },
  () => {
    let open: NodeProcess;
    let users: NodeProcess;

    beforeAll(async () => {
      const env = { ROOMCAST_ROOMS: ROOMS };
      [open, users] = await Promise.all([
        NodeProcess.start({ env }),
        NodeProcess.start({ env: { ...env, ROOMCAST_AUTH_SECRET: SECRET, ROOMCAST_API_KEYS: API_KEY } }),
      ]);
    });

    afterAll(() => Promise.all([open.stop(), users.stop()]));

    it('publishes, reads, recovers and refreshes tokens as it says', async () => {
      if ('missing' in environment) return;
      const env = {
        ...environment.env,
        ROOMCAST_OPEN_URL: open.wsUrl,
        ROOMCAST_USERS_URL: users.wsUrl,
        ROOMCAST_SECRET: SECRET,
        ROOMCAST_API_KEY: API_KEY,
      };
      const args = ['-X', 'dev', '-m', 'unittest', 'tests.real_node'];
      const { stderr } = await promisify(execFile)(environment.python, args, { cwd: PYTHON_PACKAGE, env });
      expect(stderr).toMatch(/^OK$/m);
      expect(Number(/^Ran (\d+) tests/m.exec(stderr)?.[1])).toBeGreaterThan(15);
      // With `-X dev` Python names each socket and coroutine that is left behind.
      expect(stderr).not.toMatch(/ResourceWarning|never awaited|never retrieved/);
    });
  },
);
