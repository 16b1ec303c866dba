import { describe, expect, it } from 'vitest';
import {
  addressOf,
  ClientAddresses,
  isLoopback,
  type TrustProxy,
} from '../../src/transport/client-address.ts';

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
