/** Which orders of messages a run objects to, in rooms whose messages have no numbers. */
import { expect, test } from 'vitest';
import { MemberLog } from '../support/member-log.ts';
import { checkOrder } from './world/order-checks.ts';
import { Sendings } from './world/sendings.ts';
import type { World } from './world/world.ts';

const ROOM = 'live:a';

/** `sent`: by ann, over one connection. `given`: to bob, with a 0 where he joins again. */
function violations(sent: Sendings, given: readonly number[]): readonly string[] {
  const log = new MemberLog('bob/0', ROOM);
  for (const payload of given) {
    if (payload > 0) log.message(0, payload);
    else log.event({ kind: 'joined', epoch: '', offset: 0, since: null, recovered: false });
  }
  const found: string[] = [];
  const ann = { owner: { name: 'ann' }, sendings: sent, heard: [], stays: [] };
  const bob = {
    owner: { name: 'bob' },
    sendings: new Sendings(() => undefined),
    heard: [],
    stays: [{ log }],
  };
  checkOrder({ clients: [ann, bob], violation: (what: string) => found.push(what) } as unknown as World);
  return found;
}

function sendings(...payloads: readonly number[]): Sendings {
  const sent = new Sendings(() => undefined);
  sent.connecting();
  for (const [id, payload] of payloads.entries()) send(sent, id, payload);
  return sent;
}

function send(sent: Sendings, id: number, payload: number): void {
  sent.frame({ direction: 'sent', frame: ['publish', id, ROOM, payload, {}] } as never);
  sent.frame({ direction: 'received', frame: ['ok', id, { epoch: '', offset: 0 }] } as never);
}

test('messages of one connection come in the order in which it sent them, as far as they come', () => {
  expect(violations(sendings(5, 6, 7), [5, 7])).toEqual([]);
  expect(violations(sendings(5, 6, 7), [5, 7, 6])).toEqual([
    'order: bob/0 is given message 6 in live:a after message 7, which was sent after it',
  ]);
});

test('who joins again may get older ones, in their order', () => {
  expect(violations(sendings(5, 6, 7), [7, 0, 5, 6])).toEqual([]);
  expect(violations(sendings(5, 6, 7), [7, 0, 6, 5])).toHaveLength(1);
});

test('of messages over two connections, and of one that was tried again, nobody knows the order', () => {
  const twice = sendings(5, 6);
  twice.connecting();
  send(twice, 1, 4);
  expect(violations(twice, [4, 5, 6])).toEqual([]);
  const again = sendings(5, 6);
  send(again, 9, 5);
  expect(violations(again, [6, 5])).toEqual([]);
});
