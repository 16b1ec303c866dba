import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { NOBODY_KEPT_OUT } from '../../src/auth/authorize.ts';
import {
  CLIENT_ROUTES,
  COMMANDS,
  JOIN_OPTIONS,
  permissionsTable,
  ROOMLESS_COMMANDS,
  ROUTES,
} from '../../src/auth/permissions-table.ts';
import { PUSH_RIGHTS } from '../../src/auth/rights.ts';
import { clientCommands } from '../../src/connection/commands.ts';
import type { RoomServices } from '../../src/connection/services.ts';
import { HTTP_ROUTES } from '../../src/metrics/labels.ts';
import { NodeMetrics } from '../../src/metrics/node-metrics.ts';
import type { BrokerNode } from '../../src/node/broker-node.ts';
import type { JoinOptions, PushFrame } from '../../src/protocol/frames.ts';
import { type ClientRoutesParts, clientRoutes } from '../../src/transport/clients/client-routes.ts';
import type { Route } from '../../src/transport/http/route.ts';
import { type HttpOptions, type HttpParts, nodeRoutes } from '../../src/transport/http/routes.ts';
import { silentLog } from '../../src/util/log.ts';

const PAGE = fileURLToPath(new URL('../../docs/permissions.md', import.meta.url));
const BETWEEN_MARKERS = /(?<=<!-- permissions:begin -->\n).*(?=<!-- permissions:end -->)/s;

// `npm run docs` writes the tables.
it('docs/permissions.md says what the function decides', async () => {
  const page = readFileSync(PAGE, 'utf8');
  expect(page).toMatch(BETWEEN_MARKERS);
  await expect(page.replace(BETWEEN_MARKERS, () => `${permissionsTable()}\n`)).toMatchFileSnapshot(PAGE);
});

/** Routes that reveal and change nothing of a room. */
const OPEN_ROUTES: readonly string[] = [
  ...['GET /', 'GET /chat.js', 'GET /chat.css'],
  ...['GET /healthz', 'GET /readyz', 'GET /metrics', 'GET /ws'],
];

const METHODS: Readonly<Record<Route['method'], string>> = {
  ...{ get: 'GET', post: 'POST', del: 'DELETE', options: 'OPTIONS' },
};

/** Every route of a node, but for the questions of browsers before they use one. */
function registered(): string[] {
  const node = {} as BrokerNode;
  const metrics = new NodeMetrics();
  const context = {
    ...{ metrics, log: silentLog, mustAuthenticate: true, heartbeatMs: 25_000 },
    facts: { limits: { rooms: 1 } },
  };
  const ofClients = { node, context, authenticator: null, allowedOrigins: [] };
  const parts = { node, metrics, log: silentLog, limits: {}, scrapes: {}, notReady: () => null };
  const routes = nodeRoutes(
    { servesMetrics: true, servesDemo: true, wsPath: '/ws' } as unknown as HttpOptions,
    {
      ...parts,
      clientRoutes: clientRoutes(ofClients as unknown as ClientRoutesParts),
    } as unknown as HttpParts,
  );
  const others = routes.filter(({ method }) => method !== 'options');
  return others.map(({ method, path }) => `${METHODS[method]} ${path}`);
}

describe('the tables have', () => {
  it('every command', () => {
    const commands = clientCommands({
      services: {} as RoomServices,
      access: () => ({ join: 'anyone', publish: 'anyone' }),
      keptOut: NOBODY_KEPT_OUT,
      authenticator: null,
      userFull: () => null,
      identified: () => undefined,
      log: silentLog,
    });
    expect([...COMMANDS, ...ROOMLESS_COMMANDS].sort()).toEqual(Object.keys(commands).sort());
    const sections = permissionsTable().split('\n### ');
    const head = `|  | ${COMMANDS.map((command) => `\`${command}\``).join(' | ')} |`;
    expect(sections.filter((section) => section.includes(head)).length).toBeGreaterThan(10);
  });

  it('every route that a node registers, but for those that tell nothing of a room', () => {
    const listed = [...ROUTES, ...CLIENT_ROUTES].map(([method, path]) => `${method} ${path}`);
    // The client library is there once it is built.
    const others = registered().filter((route) => !/^GET \/client[a-z-]*\.js$/.test(route));
    expect([...listed, ...OPEN_ROUTES].sort()).toEqual(others.sort());
    const labels = new Set([...ROUTES, ...CLIENT_ROUTES].map(([, path]): string => path));
    expect([...labels].sort()).toEqual(HTTP_ROUTES.filter((label) => label.startsWith('/v1/')).sort());
    for (const route of listed) expect(permissionsTable()).toContain(`| \`${route}\` |`);
  });

  it('every option of a join', () => {
    const options: Record<keyof JoinOptions, true> = {
      ...{ since: true, resume: true, last: true, data: true, members: true },
    };
    const listed = new Set(JOIN_OPTIONS.map(({ option }) => option));
    listed.delete('none');
    expect([...listed].sort()).toEqual(Object.keys(options).sort());
  });

  it('every push', () => {
    const pushes: Record<PushFrame[0], true> = {
      ...{ hello: true, message: true, signal: true, member: true, presence: true, members: true },
      ...{ gap: true, reset: true, joined: true, removed: true, bye: true },
    };
    expect(Object.keys(PUSH_RIGHTS).sort()).toEqual(Object.keys(pushes).sort());
  });
});
