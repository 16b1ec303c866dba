/** What a program that uses the client sees of its types. `tsc` is what checks most of this file. */
import { describe, expect, expectTypeOf, it } from 'vitest';
import { RoomcastClient } from '../../src/client/index.ts';
import type {
  ClientStatus,
  MemberList,
  Message,
  PublishResult,
  SignalOutcome,
} from '../../src/client/public.ts';

interface Line {
  readonly text: string;
}
interface Typing {
  readonly isTyping: boolean;
}
interface Profile {
  readonly name: string;
}

describe('the types', () => {
  it('of a room follow its generics', () => {
    const client = new RoomcastClient('ws://node.test');
    const room = client.room<Line, Typing, Profile>('r', { presence: { name: 'Ann' } });
    room.on('message', (message) => expectTypeOf(message).toEqualTypeOf<Message<Line>>());
    room.on('signal', ({ data }) => expectTypeOf(data).toEqualTypeOf<Typing>());
    room.on('member', ({ who }) => expectTypeOf(who?.data).toEqualTypeOf<Profile | undefined>());
    room.on('gap', ({ reason }) =>
      expectTypeOf(reason).toEqualTypeOf<'expired' | 'forbidden' | 'limited' | 'replaced' | 'skipped'>(),
    );
    expectTypeOf(room.members).toEqualTypeOf<MemberList<Profile>>();
    expectTypeOf(room.publish).returns.toEqualTypeOf<Promise<PublishResult>>();
    expectTypeOf(room.publish).parameter(0).toEqualTypeOf<Line>();
    expectTypeOf(room.signal).parameter(0).toEqualTypeOf<Typing>();
    expectTypeOf(room.signal).returns.toEqualTypeOf<SignalOutcome>();
    expectTypeOf(room.setPresence).parameter(0).toEqualTypeOf<Profile | null>();
    // @ts-expect-error: an event of this name does not exist.
    const misspelt = () => room.on('massage', () => undefined);
    expect(misspelt).toThrow('did you mean message');
    // @ts-expect-error: the payload has another type.
    const wrong = () => room.publish({ txt: 'hi' });
    // @ts-expect-error: presence data has another type.
    const alsoWrong = () => client.room<Line, Typing, Profile>('r', { presence: 'Ann' });
    expect([wrong, alsoWrong]).toHaveLength(2);
    client.close();
  });

  it('of a room without generics are unknown, so that nothing is taken for granted', () => {
    const client = new RoomcastClient('ws://node.test');
    client.room('r').on('message', ({ data }) => expectTypeOf(data).toEqualTypeOf<unknown>());
    client.close();
  });

  it('of the status are told apart by the state', () => {
    const status = { state: 'idle', transport: 'websocket' } as ClientStatus;
    if (status.state === 'waiting') expectTypeOf(status.retryAtMs).toEqualTypeOf<number>();
    if (status.state === 'connected') expectTypeOf(status.user).toEqualTypeOf<string | null>();
    // @ts-expect-error: only a client that waits has a next attempt.
    expect(status.retryAtMs).toBeUndefined();
  });
});
