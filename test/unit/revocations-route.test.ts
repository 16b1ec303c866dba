import { expect, it } from 'vitest';
import { CLOCK_TOLERANCE_MS } from '../../src/auth/identity.ts';
import type { ServerApi } from '../../src/node/server-api.ts';
import type { Exchange } from '../../src/transport/http/exchange.ts';
import { revokeRoute } from '../../src/transport/http/revocations-route.ts';

/** What the node is told for a body. */
async function revoked(body: object): Promise<unknown[]> {
  const calls: unknown[] = [];
  const exchange = {
    bodyFormat: { format: 'json' },
    body: async () => Buffer.from(JSON.stringify(body)),
    reply: () => undefined,
  } as unknown as Exchange;
  const server = { revoke: async (...call: unknown[]) => void calls.push(call) } as unknown as ServerApi;
  await revokeRoute(exchange, server, 1000);
  return calls;
}

it('a revocation that is given the rest of a token lasts as long as clocks may differ beyond it', async () => {
  expect(await revoked({ jti: 'x', forMs: 60_000 })).toEqual([
    [{ kind: 'token', id: 'x' }, 60_000 + CLOCK_TOLERANCE_MS],
  ]);
});

it('a revocation of older tokens names the time, and its user', async () => {
  const issuedBefore = Date.UTC(2026, 4, 1);
  expect(await revoked({ user: 'ann', issuedBefore, forMs: 1 })).toEqual([
    [{ kind: 'user', id: 'ann', issuedBeforeMs: issuedBefore }, 1 + CLOCK_TOLERANCE_MS],
  ]);
});

it.each([
  [{ jti: 'x', issuedBefore: Date.UTC(2026, 4, 1) }, 'issuedBefore is for a user'],
  [{ user: 'ann', issuedBefore: '2026-05-01' }, 'issuedBefore must be a time in ms since the Unix epoch'],
  // Seconds.
  [{ user: 'ann', issuedBefore: 1_777_593_600 }, 'such as 1790000000000, got 1777593600'],
  [{ jti: '' }, 'jti must be 1 to 256 bytes, got 0'],
  [{ jti: 'é'.repeat(129) }, 'jti must be 1 to 256 bytes, got 258'],
  // Redis would give it back as another one.
  [{ jti: 'x\ud800' }, 'jti is not valid Unicode'],
  [{ user: 'x\ud800' }, 'user is invalid'],
])('%j is refused', async (body, message) => {
  await expect(revoked(body)).rejects.toThrow(message);
});
