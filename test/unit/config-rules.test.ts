import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileRules } from '../../src/config/rules.ts';
import { compilePattern } from '../../src/util/pattern.ts';

const history = { messages: 100, ageMs: 300_000, bytes: 1_000_000 };

describe('a pattern', () => {
  it.each([
    ['lobby', 'lobby', true],
    ['lobby', 'lobby2', false],
    ['*', '', true],
    ['*', 'anything:at all', true],
    ['chat:*', 'chat:', true],
    ['chat:*', 'chat:a:b', true],
    ['chat:*', 'chat', false],
    ['*:log', 'a:log', true],
    ['*:log', 'a:logs', false],
    ['a*a', 'a', false],
    ['a*a', 'aa', true],
    ['a*b*c', 'a-b-b-c', true],
    ['a*b*c', 'a-c', false],
    ['a*bc*c', 'abc', false],
    ['a**b', 'ab', true],
    ['$user:*', '$user:7', true],
    ['a.c', 'abc', false],
    ['(a+)+*', '(a+)+b', true],
  ])('%s, of %s: %s', (pattern, name, expected) => {
    expect(compilePattern(pattern)(name)).toBe(expected);
  });

  it('agrees with a regular expression on any name', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', ':'), maxLength: 12 });
    const pattern = fc.string({ unit: fc.constantFrom('a', 'b', ':', '*'), maxLength: 8 });
    fc.assert(
      fc.property(pattern, letters, (text, name) => {
        const expression = new RegExp(`^${text.replaceAll('*', '.*')}$`);
        expect(compilePattern(text)(name)).toBe(expression.test(name));
      }),
      { numRuns: 5000 },
    );
  });

  // A matcher that tries every way to share the letters out among the stars would not end in this universe.
  it('answers for a name that can be matched in very many ways', () => {
    const matches = compilePattern(`${'*a'.repeat(60)}*b`);
    expect(matches('a'.repeat(100_000))).toBe(false);
  });
});

describe('rules', () => {
  it('give the defaults to a room that none matches', () => {
    const standard = {
      match: null,
      history,
      presence: true,
      memberEvents: false,
      join: 'anyone',
      publish: 'anyone',
      access: {},
      deniesByDefault: false,
      acks: null,
      presenceData: true,
      slowReaders: 'resume',
      publishesPerSecond: 0,
    };
    expect(compileRules({ history, rooms: [] })('a')).toEqual(standard);
    expect(compileRules({ history, rooms: [{ match: 'b', join: 'nobody' }] })('a')).toEqual(standard);
  });

  it('close what nothing opens, where defaultDeny says so', () => {
    const rooms = [
      { match: 'chat:*', join: 'authenticated', publish: 'members' },
      { match: 'log:*', history: false },
    ] as const;
    const rule = compileRules({ history, rooms, defaultDeny: true });
    expect(rule('chat:a')).toMatchObject({ match: 'chat:*', join: 'authenticated', publish: 'members' });
    for (const [room, match] of [
      ['log:a', 'log:*'],
      ['other', null],
    ] as const) {
      expect(rule(room)).toMatchObject({ match, join: 'server', publish: 'server', deniesByDefault: true });
    }
    expect(rule('chat:a').deniesByDefault).toBe(true);
  });

  it('give the first that matches, not the nearest', () => {
    const rule = compileRules({
      history,
      rooms: [
        { match: 'chat:vip', publish: 'members' },
        { match: 'chat:*', publish: 'server' },
        { match: 'chat:late', publish: 'authenticated' },
      ],
    });
    expect(rule('chat:vip').publish).toBe('members');
    expect(rule('chat:late').publish).toBe('server');
    expect(rule('other').publish).toBe('anyone');
  });

  it('fill up what they leave out from the settings, members of history one by one', () => {
    const rule = compileRules({
      history,
      rooms: [
        { match: 'none', history: false },
        { match: 'few', history: { messages: 5 } },
        { match: 'long', history: { ageMs: 600_000 } },
      ],
    });
    expect(rule('none').history.messages).toBe(0);
    expect(rule('few').history).toEqual({ messages: 5, ageMs: 300_000, bytes: 1_000_000 });
    expect(rule('long').history).toEqual({ messages: 100, ageMs: 600_000, bytes: 1_000_000 });
  });

  it('are the same frozen object for every room they match, also after very many rooms', () => {
    const rule = compileRules({ history, rooms: [{ match: 'chat:*', presence: false }] });
    const first = rule('chat:0');
    expect(Object.isFrozen(first) && Object.isFrozen(first.history)).toBe(true);
    for (let i = 0; i < 25_000; i++) expect(rule(`chat:${i}`)).toBe(first);
    expect(rule('other').presence).toBe(true);
  });
});
