import { describe, expect, it } from 'vitest';
import {
  addressOf,
  ClientAddresses,
  isLoopback,
  isPrivate,
  type TrustProxy,
} from '../../src/transport/client-address.ts';
import { networkOf } from '../../src/util/network-of.ts';

const PROXIES = ['10.0.0.0/8', 'fd00::/8', 'loopback', '192.0.2.7'];

describe('the address of a client', () => {
  it.each<[string, TrustProxy, string, string, string]>([
    ['nobody is trusted', false, '10.0.0.1', '198.51.100.1', '10.0.0.1'],
    ['an empty list trusts nobody', [], '10.0.0.1', '198.51.100.1', '10.0.0.1'],
    ['there is no header', true, '10.0.0.1', '', '10.0.0.1'],
    ['whoever connects is trusted, for one hop', true, '203.0.113.9', '198.51.100.1', '198.51.100.1'],
    ['the client made up an entry', true, '10.0.0.1', '1.1.1.1, 198.51.100.1', '198.51.100.1'],
    ['the last entry is no address', true, '10.0.0.1', '198.51.100.1, unknown', '10.0.0.1'],
    ['the peer is no proxy', PROXIES, '203.0.113.9', '198.51.100.1', '203.0.113.9'],
    ['one proxy', PROXIES, '10.1.2.3', '198.51.100.1', '198.51.100.1'],
    ['one proxy by its address', PROXIES, '192.0.2.7', '198.51.100.1', '198.51.100.1'],
    ['the neighbour of a proxy', PROXIES, '192.0.2.8', '198.51.100.1', '192.0.2.8'],
    ['two proxies', PROXIES, '127.0.0.1', '198.51.100.1, 10.9.9.9', '198.51.100.1'],
    [
      'two proxies and an entry made up',
      PROXIES,
      '127.0.0.1',
      '1.1.1.1, 198.51.100.1, 10.9.9.9',
      '198.51.100.1',
    ],
    ['an entry made up like a proxy', PROXIES, '10.0.0.1', '1.1.1.1, 10.0.0.2, 198.51.100.1', '198.51.100.1'],
    ['proxies all the way', PROXIES, '10.0.0.1', '10.0.0.3, 10.0.0.2', '10.0.0.3'],
    ['an entry in between is no address', PROXIES, '10.0.0.1', '198.51.100.1, _hidden, 10.0.0.2', '10.0.0.2'],
    ['an empty entry', PROXIES, '10.0.0.1', '198.51.100.1,, 10.0.0.2', '10.0.0.2'],
    ['an IPv6 proxy and client', PROXIES, 'fd00::1', '2001:db8::5', '2001:db8::5'],
    [
      'IPv6 written out',
      PROXIES,
      '0000:0000:0000:0000:0000:0000:0000:0001',
      '2001:0db8::0005',
      '2001:db8::5',
    ],
    ['IPv4 in IPv6', PROXIES, '::ffff:10.0.0.1', '::ffff:198.51.100.1', '198.51.100.1'],
    [
      'IPv4 in IPv6 written out',
      PROXIES,
      '0000:0000:0000:0000:0000:ffff:0a00:0001',
      '198.51.100.1',
      '198.51.100.1',
    ],
    ['ports', PROXIES, '10.0.0.1', '198.51.100.1:4711, 10.0.0.2:80', '198.51.100.1'],
    ['IPv6 with ports', PROXIES, 'fd00::1', '[2001:db8::5]:4711, [fd00::2]', '2001:db8::5'],
    ['quotes', PROXIES, '10.0.0.1', '"[2001:db8::5]:1"', '2001:db8::5'],
  ])('where %s', (_, trust, peer, header, client) => {
    expect(new ClientAddresses(trust).of(peer, header)).toBe(client);
  });

  it('is that of the peer, whatever it says of itself', () => {
    expect(new ClientAddresses(false).of('', '')).toBe('');
    expect(new ClientAddresses(PROXIES).of('unix', '198.51.100.1')).toBe('unix');
  });
});

it.each([
  ['127.0.0.1', true],
  ['127.9.9.9', true],
  ['::1', true],
  [networkOf('::1'), true],
  ['10.0.0.1', false],
  ['::2', false],
  ['', false],
  ['localhost', false],
])('%s is of this machine: %s', (address, expected) => {
  expect(isLoopback(address)).toBe(expected);
});

it.each([
  ['fe80::1%eth0', 'fe80::1'],
  ['1.2.3', null],
  ['1.2.3.4.5', null],
  ['01.2.3.4', null],
  ['for=1.2.3.4', null],
  ['', null],
])('%s is read as %s', (text, address) => {
  expect(addressOf(text)).toBe(address);
});

describe('what limits count a client by', () => {
  it('is the same for all addresses of one customer, however they are written, and for IPv4 inside of IPv6', () => {
    const key = (text: string) => networkOf(addressOf(text)!);
    expect(key('2001:0DB8:0000:0000:ffff:1::9')).toBe(key('2001:db8::1'));
    expect(key('2001:db8:0:1::1')).not.toBe(key('2001:db8::1'));
    expect(key('::ffff:198.51.100.1')).toBe('198.51.100.1');
    expect(key('[2001:db8::1]:443')).toBe('2001:db8:0:0::/64');
  });

  it.each<[string, TrustProxy, string, string, string | null]>([
    ['a client that connects itself', false, '198.51.100.1', '', '198.51.100.1'],
    ['whoever connects, whatever it says of others', false, '198.51.100.1', '1.1.1.1', '198.51.100.1'],
    ['the client of a proxy', PROXIES, '10.0.0.1', '1.1.1.1, 198.51.100.1', '198.51.100.1'],
    ['a proxy that names nobody', PROXIES, '10.0.0.1', '', null],
    ['a client inside, in the networks of the proxies', PROXIES, '10.0.0.1', '10.0.0.2', '10.0.0.2'],
    ['a header that names nobody', PROXIES, '10.0.0.1', 'unknown', '10.0.0.1'],
    ['a header that ends with nothing', PROXIES, '10.0.0.1', '203.0.113.9,', '10.0.0.1'],
    ['a header with an address in base 16', PROXIES, '10.0.0.1', '0x7f.1', '10.0.0.1'],
    ['the one hop of any proxy', true, '203.0.113.9', '198.51.100.1', '198.51.100.1'],
    ['any proxy that names nobody', true, '203.0.113.9', '', null],
    ['a client that is gone', false, '', '', null],
    ['a socket of this machine', false, 'unix', '', null],
  ])('is for %s as it must be', (_, trust, peer, header, key) => {
    const addresses = new ClientAddresses(trust);
    expect(addresses.keyOf(addresses.of(peer, header), header)).toBe(key);
  });

  it('may be said by those who are trusted', () => {
    const addresses = new ClientAddresses(PROXIES);
    expect(
      ['10.9.9.9', '::ffff:10.9.9.9', 'fd00::1', '198.51.100.1', ''].map((peer) => addresses.trusts(peer)),
    ).toEqual([true, true, true, false, false]);
    expect(new ClientAddresses(true).trusts('198.51.100.1')).toBe(true);
    expect(new ClientAddresses(false).trusts('10.0.0.1')).toBe(false);
  });
});

it.each([
  ...['10.1.2.3', '172.16.0.1', '172.31.255.255', '192.168.1.1', '169.254.1.1', '100.64.0.1'].map((a) => [
    a,
    true,
  ]),
  ...['172.32.0.1', '100.128.0.1', '11.0.0.1', '198.51.100.1', '2001:db8:0:0::/64', '0:0:0:0::/64'].map(
    (a) => [a, false],
  ),
  ...['fd00::1', 'fd12:3456:0:0::/64', 'fe80:0:0:0::/64'].map((a) => [a, true]),
] as [string, boolean][])('%s is private: %s', (address, expected) => {
  expect(isPrivate(address)).toBe(expected);
});

describe('PROXY protocol', () => {
  it.each<[string, TrustProxy, string, string, string, string]>([
    ['a trusted proxy', PROXIES, '10.0.0.1', '', '198.51.100.1', '198.51.100.1'],
    ['a proxy that is not trusted', PROXIES, '203.0.113.9', '', '198.51.100.1', '203.0.113.9'],
    ['any peer, for one hop', true, '203.0.113.9', '1.1.1.1', '198.51.100.1', '198.51.100.1'],
    ['nobody', false, '10.0.0.1', '', '198.51.100.1', '10.0.0.1'],
    ['a proxy for a proxy of HTTP', PROXIES, '10.0.0.1', '1.1.1.1, 198.51.100.1', '10.0.0.2', '198.51.100.1'],
    [
      'a proxy for a client that makes up a header',
      PROXIES,
      '10.0.0.1',
      '1.1.1.1',
      '198.51.100.1',
      '198.51.100.1',
    ],
    [
      'a proxy, with IPv6 written out',
      PROXIES,
      '10.0.0.1',
      '',
      '2001:0db8:0000:0000:0000:0000:0000:0005',
      '2001:db8::5',
    ],
  ])('is believed as it should from %s', (_, trust, peer, header, proxied, client) => {
    const addresses = new ClientAddresses(trust, true);
    expect(addresses.of(peer, header, proxied)).toBe(client);
  });

  it('tells the clients of a trusted proxy apart', () => {
    const addresses = new ClientAddresses(true, true);
    expect(addresses.keyOf('198.51.100.1', '', '198.51.100.1')).toBe('198.51.100.1');
    expect(addresses.keyOf('203.0.113.9', '', '')).toBeNull();
  });
});
