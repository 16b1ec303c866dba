import { describe, expect, it } from 'vitest';
import { CLOSE, shouldReconnect } from '../../src/protocol/codes.ts';
import { roomNameProblem, utf8Length } from '../../src/protocol/limits.ts';
import { chooseSubprotocol } from '../../src/protocol/subprotocol.ts';

const MSGPACK = { encoding: 'msgpack', subprotocol: 'roomcast.v1.msgpack' };
const JSON_NAMED = { encoding: 'json', subprotocol: 'roomcast.v1.json' };
const JSON_UNNAMED = { encoding: 'json', subprotocol: null };

describe('chooseSubprotocol', () => {
  it.each([
    ['', JSON_UNNAMED],
    [' , ', JSON_UNNAMED],
    ['roomcast.v1.msgpack', MSGPACK],
    ['roomcast.v1.json', JSON_NAMED],
    ['roomcast.v1.json, roomcast.v1.msgpack', JSON_NAMED],
    ['roomcast.v1.msgpack,roomcast.v1.json', MSGPACK],
    ['roomcast.v2.msgpack, roomcast.v1.msgpack', MSGPACK],
    ['mqtt', null],
    ['roomcast.v2.msgpack, ROOMCAST.V1.JSON', null],
    ['constructor', null],
  ])('makes of "%s" the first known one', (offered, chosen) => {
    expect(chooseSubprotocol(offered)).toEqual(chosen);
  });
});

describe('room names', () => {
  it.each([
    'a',
    'chat:lobby',
    'with space',
    '$user:ann',
    'é'.repeat(64),
    '😀'.repeat(32),
    'r'.repeat(128),
    '~',
  ])('may be %s', (room) => {
    expect(roomNameProblem(room)).toBeNull();
  });

  it.each([
    '',
    '*',
    'a*b',
    'a\u0000',
    'a\u001f',
    'a\u007f',
    'a\u0085',
    'é*',
    '\ud800',
    'a\udc00b',
    'r'.repeat(129),
    'é'.repeat(65),
  ])('may not be %j', (room) => {
    expect(roomNameProblem(room)).toMatch(/room name/);
  });

  it('are measured in bytes of UTF-8', () => {
    expect(['', 'a', 'é', '中', '😀', '\ud800', '\ud800é'].map(utf8Length)).toEqual([0, 1, 2, 3, 4, 3, 5]);
  });
});

describe('close codes', () => {
  it.each(Object.values(CLOSE))('$code has a reason that fits a close frame', ({ reason }) => {
    expect(utf8Length(reason)).toBeLessThanOrEqual(123);
  });

  it('say by their range what a client does, those never seen too', () => {
    expect([1000, 1001, 1006, 1012, 4000, 4002, 4499, 4999 + 1].map(shouldReconnect)).not.toContain(false);
    expect([1007, 1009, 4500, 4501, 4777, 4999].map(shouldReconnect)).not.toContain(true);
  });
});
