import { expect, it } from 'vitest';
import { BearerKeys } from '../../src/transport/http/bearer-keys.ts';
import type { Exchange } from '../../src/transport/http/exchange.ts';
import { HttpError } from '../../src/transport/http/http-error.ts';
import { metricsRoute } from '../../src/transport/http/routes.ts';
import type { HttpRequest } from '../../src/transport/uws.ts';

it('a key of the metrics cannot be guessed faster than the limit of the address', async () => {
  let left = 2;
  const limits = {
    ofAddress: () => {
      if (left-- === 0) throw new HttpError('rate_limited', 'too many requests');
    },
  };
  const metricsKeys = new BearerKeys([{ key: 'the-right-metrics-key', owner: null }], 'key');
  const scrapes = { read: async () => ({ contentType: 'text/plain', body: '' }) };
  const { handle } = metricsRoute({ metricsKeys, scrapes, limits } as never);
  const ask = async (key: string): Promise<unknown> => {
    const exchange = { authorization: `Bearer ${key}`, send: () => undefined } as unknown as Exchange;
    try {
      await handle(exchange, {} as HttpRequest);
      return 'ok';
    } catch (error) {
      return (error as HttpError).code;
    }
  };
  expect([await ask('one'), await ask('two'), await ask('three')]).toEqual([
    'unauthorized',
    'unauthorized',
    'rate_limited',
  ]);
  // Whoever has the key is not counted.
  for (let n = 0; n < 10; n++) expect(await ask('the-right-metrics-key')).toBe('ok');
});
