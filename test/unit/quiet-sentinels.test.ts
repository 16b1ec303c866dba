import { Redis } from 'ioredis';
import { expect, it, vi } from 'vitest';
import { quietSentinels } from '../../src/backplane/redis/link/quiet-sentinels.ts';
import { freePort } from '../support/ports.ts';

it('errors of the connections to Sentinels are not printed', async () => {
  const printed = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  const endpoint = { host: '127.0.0.1', port: await freePort() };
  const redis = new Redis({ sentinels: [endpoint], name: 'primary', lazyConnect: true });
  try {
    const attempt = async () => {
      const sentinel = redis['connector']['connectToSentinel'](endpoint);
      // Not events.once, which listens for errors.
      await new Promise((resolve) => sentinel.once('end', resolve));
    };
    await attempt();
    expect(printed).toHaveBeenCalledOnce();
    quietSentinels(redis);
    await attempt();
    expect(printed).toHaveBeenCalledOnce();
  } finally {
    redis.disconnect();
    printed.mockRestore();
  }
});
