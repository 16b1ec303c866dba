import { describe, expect, it } from 'vitest';
import { notLocal, type RequestFacts } from '../../src/transport/http/local-request.ts';

const LOCAL: RequestFacts = {
  peer: '127.0.0.1',
  host: 'localhost:8080',
  origin: '',
  fetchSite: '',
  forwardedBy: '',
};

describe('a local request', () => {
  it.each<[string, Partial<RequestFacts>]>([
    ['with nothing special', {}],
    ['to 127.0.0.1', { host: '127.0.0.1:8080' }],
    ['to ::1', { host: '[::1]:8080', peer: '0000:0000:0000:0000:0000:0000:0000:0001' }],
    ['without a port', { host: 'LOCALHOST' }],
    ['over IPv4 in IPv6', { peer: '::ffff:127.0.0.1' }],
    ['from a page of the node', { origin: 'http://localhost:8080', fetchSite: 'same-origin' }],
    ['typed into a browser', { fetchSite: 'none' }],
  ])('is one %s', (_, facts) => {
    expect(notLocal({ ...LOCAL, ...facts })).toBeNull();
  });

  it.each<[string, Partial<RequestFacts>, RegExp]>([
    ['from elsewhere', { peer: '192.0.2.1' }, /it came from 192\.0\.2\.1/],
    ['from nowhere', { peer: '' }, /not from this machine/],
    ['through a proxy', { forwardedBy: 'x-forwarded-for' }, /through a proxy \(x-forwarded-for\)/],
    ['without a Host', { host: '' }, /its Host is ""/],
    [
      'to a name that was made to lead here',
      { host: 'evil.example:8080' },
      /its Host is "evil\.example:8080"/,
    ],
    ['to a name that begins like one of ours', { host: 'localhost.evil.example' }, /its Host/],
    ['to a user at another host', { host: 'localhost:8080@evil.example' }, /its Host/],
    ['from a page of another site', { origin: 'https://evil.example' }, /page of "https:\/\/evil\.example"/],
    ['from a page of another port', { origin: 'http://localhost:3000' }, /page of "http:\/\/localhost:3000"/],
    ['from a page without an origin', { origin: 'null' }, /page of "null"/],
    ['from an image on another site', { fetchSite: 'cross-site' }, /Sec-Fetch-Site: "cross-site"/],
    ['from a link on another port', { fetchSite: 'same-site' }, /Sec-Fetch-Site/],
  ])('is none %s', (_, facts, reason) => {
    expect(notLocal({ ...LOCAL, ...facts })).toMatch(reason);
  });
});
