import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * Below the range from which systems take the ports of outgoing connections: one of those that is free now may be taken a
 * moment later by any of the thousands of connections that these tests make.
 */
const FIRST = 10_000;
const LAST = 29_999;
/** Each worker of the test runner begins elsewhere, so that two seldom try the same. */
const PER_WORKER = 2_000;

const worker = Number(process.env.VITEST_POOL_ID ?? 0);
let next = FIRST + ((worker * PER_WORKER + Math.floor(Math.random() * PER_WORKER)) % (LAST - FIRST));

/** A TCP port that nobody listens on, and that this process has not been given before. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = next;
    next = next === LAST ? FIRST : next + 1;
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await once(server.listen(port, '127.0.0.1'), 'listening');
  } catch {
    // Someone has it: the next one will do.
    return false;
  }
  await once(server.close(), 'close');
  return true;
}
