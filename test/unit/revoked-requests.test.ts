/** Requests of clients whose owner is revoked while their body waits for the turn in which it is parsed. */
import { describe, expect, it } from 'vitest';
import { ALL_PERMITTED, type Identity } from '../../src/auth/identity.ts';
import { Allowance } from '../../src/connection/allowance.ts';
import { ClientAccess } from '../../src/transport/clients/client-access.ts';
import { PublishRoute, type PublishRouteParts } from '../../src/transport/clients/publish-route.ts';
import { StreamRoutes, type StreamRoutesParts } from '../../src/transport/clients/stream-routes.ts';
import type { Exchange } from '../../src/transport/http/exchange.ts';
import type { HttpRequest } from '../../src/transport/uws.ts';
import { silentLog } from '../../src/util/log.ts';
import { Session } from '../support/session.ts';

const ANN: Identity = { user: 'ann', expiresAtMs: null, permissions: ALL_PERMITTED };

/** Parts of both routes. Ann is revoked while her body waits. */
function parts(body: unknown) {
  const { context } = new Session().connection;
  let isRevoked = false;
  const done: string[] = [];
  const access = new ClientAccess({
    authenticator: { authenticate: () => Promise.resolve(ANN) },
    mustAuthenticate: true,
    revocations: { isRevoked: (identity: Identity) => isRevoked && identity === ANN },
    log: silentLog,
  });
  const made = {
    access,
    context: { ...context, commands: { publish: () => done.push('published') } },
    metrics: context.metrics,
    maxRooms: 10,
    cors: { check: () => undefined },
    limits: { ofAddress: () => undefined },
    accounts: { of: () => new Allowance() },
    proxyWarning: { look: () => undefined },
    admission: { admit: () => null, refusal: () => null },
    node: { joinRefusal: () => null, nextNumber: () => 1 },
    streams: { open: () => done.push('opened') },
    bodies: {
      read: () => Promise.resolve({ body: Buffer.from(JSON.stringify(body)), format: 'json', values: 1 }),
      charge: () => {
        isRevoked = true;
        return Promise.resolve();
      },
    },
  };
  return { made, done };
}

const exchange = { authorization: 'Bearer of-ann', bodyFormat: { format: 'json' } } as Exchange;
const request = { getParameter: () => 'chat' } as unknown as HttpRequest;

describe('who is revoked while a body waits for its turn', () => {
  it('publishes nothing', async () => {
    const { made, done } = parts({ data: 1 });
    const route = new PublishRoute(made as unknown as PublishRouteParts);
    await expect(route.publish(exchange, request)).rejects.toMatchObject({ code: 'token_revoked' });
    expect(done).toEqual([]);
  });

  it('has no stream opened', async () => {
    const { made, done } = parts({ rooms: [{ room: 'chat' }] });
    const route = new StreamRoutes(made as unknown as StreamRoutesParts);
    await expect(route.ofRooms(exchange, request)).rejects.toMatchObject({ code: 'token_revoked' });
    expect(done).toEqual([]);
    expect(made.metrics.connections.upgradesRejected.unauthorized).toBe(1);
  });
});
