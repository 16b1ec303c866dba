/** How many sockets each address holds. */
import { beforeEach, describe, expect, it } from 'vitest';
import { AddressLimits } from '../../src/transport/address-limits.ts';
import { ClientAddresses } from '../../src/transport/client-address.ts';
import { Descriptors } from '../../src/transport/descriptors.ts';
import { type Peer, PeerSockets } from '../../src/transport/peer-sockets.ts';
import { silentLog } from '../../src/util/log.ts';
import { FakeClock } from '../support/fake-clock.ts';

const ONE = '198.51.100.1';
const OTHER = '198.51.100.2';
const PROXY = '192.0.2.1';

let clock: FakeClock;
let sockets: PeerSockets;

function peers({ most = 10, perSecond = 0, burst = 0 } = {}): PeerSockets {
  clock = new FakeClock();
  const limits = new AddressLimits({
    sockets: most,
    socketsPerSecond: perSecond,
    socketBurst: burst,
    ...{ connections: 0, upgradesPerSecond: 0, upgradeBurst: 0, requestsPerSecond: 0, requestBurst: 0 },
    limitsPrivate: false,
    clock,
    log: silentLog,
  });
  return new PeerSockets(new ClientAddresses([PROXY]), limits, clock);
}

beforeEach(() => {
  sockets = peers();
});

/** One more socket. Returns whether it may stay. */
function opens(address: string): boolean {
  const mayStay = sockets.opened(address) === null;
  if (!mayStay) sockets.closed();
  return mayStay;
}

const times = <T>(count: number, work: () => T): T[] => Array.from({ length: count }, work);
const asks = (address: string): void => sockets.answered(sockets.begun(address));

describe('one address', () => {
  it('has so many sockets that wait for a request, and no more', () => {
    expect(times(12, () => opens(ONE)).filter(Boolean)).toHaveLength(10);
    expect(sockets.opened(ONE)).toBe('limits.socketsPerAddress');
    sockets.closed();
    expect(opens(OTHER)).toBe(true);
  });

  it('holds those that it keeps alive with requests, for as long as it does', () => {
    times(10, () => opens(ONE));
    for (let round = 0; round < 20; round++) {
      for (let n = 0; n < 10; n++) {
        clock.advance(700);
        asks(ONE);
      }
      expect(opens(ONE)).toBe(false);
    }
  });

  it('holds those with a request that is not answered, and WebSockets', () => {
    const busy: Peer[] = times(10, () => {
      opens(ONE);
      return sockets.begun(ONE);
    });
    clock.advance(3_600_000);
    expect(opens(ONE)).toBe(false);
    // One closes.
    sockets.closed();
    sockets.left(busy.pop()!);
    expect([opens(ONE), opens(ONE)]).toEqual([true, false]);
  });

  it('has places again when its sockets are gone, however they went', () => {
    times(10, () => opens(ONE));
    clock.advance(9_000);
    times(10, () => sockets.closed());
    expect(times(11, () => opens(ONE)).filter(Boolean)).toHaveLength(10);
  });

  it('that opens and closes one after the other is not taken to hold them', () => {
    for (let n = 0; n < 1000; n++) {
      clock.advance(10);
      expect(opens(ONE)).toBe(true);
      asks(ONE);
      sockets.closed();
    }
  });

  it('is not refused for what another holds, whoever of them closed sockets', () => {
    for (let n = 0; n < 40; n++) {
      opens(OTHER);
      if (n % 4 === 0) asks(OTHER);
      expect(opens(ONE)).toBe(true);
      sockets.closed();
      clock.advance(100);
    }
  });

  it('counts with its network where it is IPv6', () => {
    for (let n = 0; n < 10; n++) expect(opens(`2001:db8::${n.toString(16)}`)).toBe(true);
    expect([opens('2001:db8::ffff'), opens('2001:db8:0:1::1')]).toEqual([false, true]);
  });

  it('opens so many in a second', () => {
    sockets = peers({ most: 0, perSecond: 10, burst: 20 });
    const opened = times(25, () => {
      const limit = sockets.opened(ONE);
      sockets.closed();
      return limit;
    });
    expect(opened.filter((limit) => limit === 'limits.addressSocketsPerSecond')).toHaveLength(5);
    clock.advance(1000);
    expect(times(12, () => opens(ONE)).filter(Boolean)).toHaveLength(10);
  });
});

it.each([PROXY, '127.0.0.1', '10.1.2.3'])('the limits do not apply to %s', (address) => {
  sockets = peers({ perSecond: 1, burst: 1 });
  expect(times(100, () => opens(address))).not.toContain(false);
});

it('addresses that come once cost nothing for long', () => {
  for (let n = 0; n < 20_000; n++) {
    opens(`198.51.${n >> 8}.${n & 255}`);
    sockets.closed();
    clock.advance(10);
  }
  // Those of 16 seconds, and what the next look finds.
  expect(sockets.size).toBeLessThan(4000);
});

it('some descriptors are kept for whom nobody else may take them', () => {
  const descriptors = new Descriptors(2, new FakeClock(), silentLog);
  expect(times(3, () => descriptors.opened())).toEqual([true, true, false]);
  expect(times(2, () => descriptors.opened(2))).toEqual([true, false]);
});
