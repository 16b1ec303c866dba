import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { TestClient } from '../support/client.ts';
import { readMetric } from '../support/metrics.ts';
import { NodeProcess } from '../support/node-process.ts';
import { waitFor } from '../support/wait.ts';

const EXAMPLE = join(import.meta.dirname, '../../deploy/roomcast.example.yaml');
/** With what waits in the kernel this is more than a socket that is not read takes. */
const UPDATE_BYTES = 30_000;
const SLOW = 'roomcast_slow_readers_total{policy="latest"}';

it('the rule that the example recommends for cursors gives a slow reader the newest state', async () => {
  const { rooms } = parse(readFileSync(EXAMPLE, 'utf8')) as { rooms: { match: string }[] };
  expect(rooms[0]!.match).toBe('cursors:*');
  const node = await NodeProcess.start({
    env: {
      ROOMCAST_ROOMS: JSON.stringify(rooms),
      ROOMCAST_WEBSOCKET_BACKPRESSURE_BYTES: '65536',
      ROOMCAST_LIMITS_BYTES_PER_SECOND: '0',
    },
  });
  const [reader, writer] = await Promise.all([
    TestClient.connect(node.wsUrl),
    TestClient.connect(node.wsUrl),
  ]);
  await reader.ok('join', 'cursors:a');
  reader.socket.pause();
  const isSlow = async () => Number(readMetric(await (await fetch(`${node.url}/metrics`)).text(), SLOW)) > 0;
  await waitFor(
    async () => {
      for (let n = 0; n < 20; n++) await writer.ok('publish', 'cursors:a', 'x'.repeat(UPDATE_BYTES));
      return isSlow();
    },
    { timeoutMs: 30_000 },
  );
  // Nothing follows it: a reader that skips to anything older would stay there.
  await writer.ok('publish', 'cursors:a', 'newest');
  reader.socket.resume();
  await reader.next((frame) => frame[0] === 'message' && frame[5] === 'newest');
  await Promise.all([reader.close(), writer.close()]);
  await node.stop();
}, 60_000);
