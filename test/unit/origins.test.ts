import { describe, expect, it } from 'vitest';
import { originMatcher } from '../../src/transport/origins.ts';

const ALLOWED = ['https://app.example.com', 'https://*.example.org', 'http://*.localhost:3000'];

describe('allowed origins', () => {
  it.each([
    ['https://app.example.com', true],
    ['HTTPS://APP.example.com', true],
    ['http://app.example.com', false],
    ['https://app.example.com:8443', false],
    ['https://app.example.com.evil.com', false],
    ['https://evil-app.example.com', false],
    ['https://a.example.org', true],
    ['https://a.b-c.example.org', true],
    ['https://A.Example.ORG', true],
    ['https://example.org', false],
    ['https://.example.org', false],
    ['https://evilexample.org', false],
    ['https://a.example.org:8443', false],
    ['https://a.example.org.evil.com', false],
    ['https://evil.com/.example.org', false],
    ['https://evil.com:443.example.org', false],
    ['https://user@evil.com#.example.org', false],
    ['http://a.localhost:3000', true],
    ['http://a.localhost:3001', false],
    ['null', false],
    ['*', false],
  ])('let %s in: %s', (origin, expected) => {
    expect(originMatcher(ALLOWED)(origin)).toBe(expected);
  });

  it('let everyone in where there are none', () => {
    expect(['https://anything.example', 'null'].map(originMatcher([]))).toEqual([true, true]);
  });
});
