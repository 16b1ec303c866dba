import { describe, expect, it } from 'vitest';
import { overLimit } from '../../src/connection/over-limit.ts';
import { NodeMetrics } from '../../src/metrics/node-metrics.ts';
import { AddressLimits, type AddressLimitsOptions } from '../../src/transport/address-limits.ts';
import { Admission } from '../../src/transport/admission.ts';
import { ClientAddresses } from '../../src/transport/client-address.ts';
import { ProxyWarning } from '../../src/transport/proxy-warning.ts';
import type { HttpRequest } from '../../src/transport/uws.ts';
import { KeyedRate } from '../../src/util/keyed-rate.ts';
import { silentLog } from '../../src/util/log.ts';
import { RateLimit } from '../../src/util/rate-limit.ts';
import { Tally } from '../../src/util/tally.ts';
import { FakeClock } from '../support/fake-clock.ts';

const PUBLIC = '198.51.100.1';

function limited(options: Partial<AddressLimitsOptions> = {}) {
  const clock = new FakeClock();
  const warnings: string[] = [];
  const log = { ...silentLog, warn: (_: unknown, text: string) => void warnings.push(text) };
  const limits = new AddressLimits({
    sockets: 0,
    socketsPerSecond: 0,
    socketBurst: 0,
    connections: 2,
    upgradesPerSecond: 1,
    upgradeBurst: 3,
    requestsPerSecond: 10,
    requestBurst: 2,
    limitsPrivate: false,
    clock,
    log,
    ...options,
  });
  return { limits, clock, warnings };
}

describe('the limits of an address', () => {
  it('bound its open connections, and only its own', () => {
    const { limits } = limited();
    const places = [limits.enter(PUBLIC), limits.enter(PUBLIC)];
    expect(limits.full(PUBLIC)).toEqual({
      code: 'limit_exceeded',
      message: 'too many connections from this address: limits.connectionsPerAddress is 2',
      details: { retryAfterMs: 5000, limit: 'limits.connectionsPerAddress' },
    });
    expect(limits.full('198.51.100.2')).toBeNull();
    limits.leave(places[0]!);
    expect(limits.full(PUBLIC)).toBeNull();
  });

  it('bound how fast connections and requests come, and say when the next may', () => {
    const { limits, clock } = limited();
    for (let n = 0; n < 3; n++) expect(limits.upgrade(PUBLIC)).toBeNull();
    const refused = limits.upgrade(PUBLIC);
    expect(refused).toMatchObject({
      code: 'rate_limited',
      details: { limit: 'limits.addressUpgradesPerSecond' },
    });
    clock.advance(refused!.details.retryAfterMs!);
    expect(limits.upgrade(PUBLIC)).toBeNull();
    expect([limits.request(PUBLIC), limits.request(PUBLIC)]).toEqual([null, null]);
    expect(limits.request(PUBLIC)).toEqual({
      code: 'rate_limited',
      message: 'too many requests a second from this address: limits.addressRequestsPerSecond is 10',
      details: { retryAfterMs: 100, limit: 'limits.addressRequestsPerSecond' },
    });
  });

  it('are off at 0', () => {
    const { limits } = limited({ connections: 0, upgradesPerSecond: 0, requestsPerSecond: 0 });
    for (let n = 0; n < 100; n++) {
      limits.enter(PUBLIC);
      expect([limits.full(PUBLIC), limits.upgrade(PUBLIC), limits.request(PUBLIC)]).toEqual([
        null,
        null,
        null,
      ]);
    }
  });

  it.each([null, '127.0.0.1', '0:0:0:0::/64', '10.0.0.1', 'fd00:0:0:0::/64'])('do not apply to %s', (key) => {
    const { limits, warnings } = limited();
    for (let n = 0; n < 10; n++) {
      limits.leave(null);
      limits.enter(key);
      expect([limits.full(key), limits.upgrade(key), limits.request(key)]).toEqual([null, null, null]);
    }
    // A private address beyond a limit may be a balancer; this machine and trusted proxies are known.
    const mayBeBalancer = key !== null && (key.startsWith('10') || key.startsWith('fd'));
    expect(warnings).toEqual(mayBeBalancer ? [expect.stringMatching(/name it in trustProxy/)] : []);
  });

  it('tell the operator once of a public address that is refused: it may be a balancer', () => {
    const { limits, warnings } = limited();
    for (let n = 0; n < 10; n++) limits.upgrade(PUBLIC);
    for (let n = 0; n < 10; n++) limits.request('198.51.100.2');
    expect(warnings).toEqual([expect.stringMatching(/198\.51\.100\.1 is beyond .* name it in trustProxy/)]);
  });

  it.each(['127.0.0.1', '10.0.0.1'])('apply to %s where that is asked for', (key) => {
    const { limits } = limited({ limitsPrivate: true });
    limits.enter(key);
    limits.enter(key);
    expect(limits.full(key)).not.toBeNull();
  });
});

describe('names that come once', () => {
  it('cost nothing for long', () => {
    const rate = new KeyedRate(new RateLimit(10, 1));
    for (let n = 0; n < 100_000; n++) rate.charge(`2001:db8:${n.toString(16)}`, 1, n);
    // What is not paid for yet, 100 ms' worth, and what the next sweep finds.
    expect(rate.size).toBeLessThan(2100);
    const tally = new Tally();
    for (let n = 0; n < 1000; n++) tally.leave(tally.enter(String(n)));
    expect(tally.size).toBe(0);
  });
});

describe('admission', () => {
  function admission({ userFull = false, isShuttingDown = false, open = 0, perSecond = 0 } = {}) {
    const { limits, clock } = limited();
    const metrics = new NodeMetrics();
    const gate = new Admission({
      perSecond,
      capacity: { connections: 5, unauthenticated: 1, sockets: 100 },
      addresses: limits,
      userFull: () =>
        userFull ? overLimit('limit_exceeded', 'too many', 'limits.connectionsPerUser', 1, 5000) : null,
      openConnections: () => open,
      unauthenticated: () => 1,
      isShuttingDown: () => isShuttingDown,
      metrics,
      clock,
      log: silentLog,
    });
    return { gate, metrics };
  }
  const newcomer = { addressKey: PUBLIC, hasNoToken: false };

  it.each([
    ['the node is full', { open: 5 }, 'limit', 'unavailable', 'websocket.maxConnections'],
    ['it comes too fast', { perSecond: 1 }, 'rate', 'unavailable', 'acceptRate.perSecond'],
  ] as const)('says why where %s', (_, options, reason, code, limit) => {
    const { gate, metrics } = admission(options);
    const refusal = [gate.admit(newcomer), gate.admit(newcomer)].at(-1)!;
    expect(refusal).toMatchObject({ reason, code, details: { limit, retryAfterMs: expect.any(Number) } });
    expect(refusal.message).toContain(limit);
    expect(metrics.connections.upgradesRejected[reason]).toBeGreaterThan(0);
  });

  it('counts those without a token, those of an address, and those of a user', () => {
    const { gate } = admission({ userFull: true });
    expect(gate.admit({ ...newcomer, hasNoToken: true })).toMatchObject({
      reason: 'waiting',
      details: { limit: 'websocket.maxUnauthenticated' },
    });
    expect(gate.admit(newcomer)).toBeNull();
    expect(gate.refusal(newcomer, null)).toBeNull();
    expect(gate.refusal(newcomer, 'ann')).toMatchObject({ reason: 'user' });
    const places = [gate.entered(PUBLIC), gate.entered(PUBLIC)];
    expect(gate.admit(newcomer)).toMatchObject({ reason: 'address', code: 'limit_exceeded' });
    gate.left(places[0]!);
    expect(gate.admit(newcomer)).toBeNull();
  });

  it('has no limit to name for a node that shuts down', () => {
    const refusal = admission({ isShuttingDown: true }).gate.admit(newcomer);
    expect(refusal).toMatchObject({ reason: 'draining', details: { retryAfterMs: 1000 } });
    expect(refusal!.details.limit).toBeUndefined();
  });
});

describe('X-Forwarded-For', () => {
  const request = (header: string) => ({ getHeader: () => header }) as unknown as HttpRequest;

  function look(trust: readonly string[], ...peers: [string, string][]): string[] {
    const warnings: string[] = [];
    const log = { ...silentLog, warn: (_: unknown, text: string) => void warnings.push(text) };
    const warning = new ProxyWarning(new ClientAddresses(trust), log);
    for (const [peer, header] of peers) warning.look(request(header), () => peer);
    return warnings;
  }

  it('is warned of once where the one who sent it is not named', () => {
    expect(look([], ['10.0.0.1', '198.51.100.1'], ['10.0.0.2', '198.51.100.1'])).toEqual([
      expect.stringMatching(
        /^X-Forwarded-For from 10\.0\.0\.1 is ignored, since trustProxy does not name it/,
      ),
    ]);
    expect(look(['10.0.0.0/8'], ['203.0.113.1', '198.51.100.1'])).toHaveLength(1);
  });

  it('is nothing to warn of from a proxy that is named, or where there is none', () => {
    expect(look(['10.0.0.0/8'], ['10.0.0.1', '198.51.100.1'], ['203.0.113.1', ''])).toEqual([]);
  });
});
