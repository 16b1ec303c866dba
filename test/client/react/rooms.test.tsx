// @vitest-environment happy-dom
/** Rooms in components: what is joined, and how often. */
import { useEffect, useState } from 'react';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Signal } from '../../../src/client/index.ts';
import {
  useMembers,
  useMessages,
  usePublish,
  useRoom,
  useRoomEvent,
  useSignal,
} from '../../../src/client/react/index.ts';
import { ReactWorld, sent } from './world.tsx';

let world: ReactWorld;

beforeEach(async () => {
  world = await ReactWorld.start();
});

afterEach(() => world.stop());

function Messages({ room, last, keep }: { room: string | null; last?: number; keep?: number }) {
  const messages = useMessages<string>(room, {
    ...(last !== undefined && { last }),
    ...(keep !== undefined && { keep }),
  });
  return <p>[{messages.map(({ data }) => data).join(' ')}]</p>;
}

function State({ room }: { room: string }) {
  const { state, error, joined } = useRoom(room);
  return (
    <p>
      {state} {error?.message} {joined && `missed ${joined.missed}`}
    </p>
  );
}

function Members({ room, name }: { room: string; name?: string }) {
  const { members, count } = useMembers<{ name: string }>(
    room,
    name === undefined ? {} : { presence: { name } },
  );
  return (
    <p>
      {count}: {members.map(({ user, data }) => `${user}=${data?.name ?? ''}`).join(' ')}
    </p>
  );
}

describe('a component that shows a room', () => {
  it('begins with what is kept and goes on live; under StrictMode it joins once and does not leave', async () => {
    await world.publish('r', 'a', 'b', 'c');
    const client = world.client();
    const page = await world.render(client, <Messages room="r" last={2} />);
    expect(page.text()).toBe('[b c]');
    await world.publish('r', 'd');
    expect(page.text()).toBe('[b c d]');
    expect(sent(client, 'join', 'leave')).toEqual([['join', 'r', { last: 2 }]]);
  });

  it('misses nothing and repeats nothing when the connection breaks', async () => {
    const client = world.client();
    const page = await world.render(
      client,
      <>
        <Messages room="r" last={5} />
        <State room="r" />
      </>,
    );
    await world.publish('r', 'a');
    await world.during(() => world.broker.cut());
    await world.publish('r', 'b', 'c');
    expect(page.text()).toContain('[a]waiting');
    await world.during(() => world.broker.clock.advance(1_000));
    expect(page.text()).toBe('[a b c]joined  missed 2');
  });

  it('leaves when it unmounts, and joins again when it is back', async () => {
    const client = world.client();
    const page = await world.render(client, <Messages room="r" last={5} />);
    await world.publish('r', 'a');
    await page.renderWith(client, null);
    expect(await world.broker.rooms()).toMatchObject({ rooms: [] });
    await world.publish('r', 'b');
    await page.renderWith(client, <Messages room="r" last={5} />);
    expect(page.text()).toBe('[a b]');
    expect(sent(client, 'join', 'leave').map(([type]) => type)).toEqual(['join', 'leave', 'join']);
  });

  it('unmounts while it joins, and hears nothing more', async () => {
    const client = world.client();
    await world.during(() => client.connect());
    world.broker.delay(50);
    const page = await world.render(client, <Messages room="r" />);
    await page.renderWith(client, null);
    await world.during(() => world.broker.clock.advance(500));
    expect(sent(client, 'join', 'leave').map(([type]) => type)).toEqual(['join', 'leave']);
    expect(await world.broker.rooms()).toMatchObject({ rooms: [] });
  });

  it('unmounts before there is a connection, and nothing is joined', async () => {
    world.broker.goOffline();
    const client = world.client();
    const page = await world.render(client, <Messages room="r" />);
    await page.unmount();
    world.broker.goOnline();
    await world.during(() => world.broker.clock.advance(60_000));
    expect(client.status.state).toBe('connected');
    expect(sent(client, 'join', 'leave')).toEqual([]);
  });

  it('changes the room: it leaves the old one and shows none of its messages', async () => {
    await world.publish('one', 'a');
    await world.publish('two', 'b');
    const client = world.client();
    const shown: string[] = [];
    function Spy({ room }: { room: string | null }) {
      const messages = useMessages<string>(room, { last: 5 });
      shown.push(`${room}: ${messages.map(({ data }) => data).join(' ')}`);
      return null;
    }
    const page = await world.render(client, <Spy room="one" />);
    await page.renderWith(client, <Spy room="two" />);
    await page.renderWith(client, <Spy room={null} />);
    expect([...new Set(shown)]).toEqual(['one: ', 'one: a', 'two: ', 'two: b', 'null: ']);
    expect(await world.broker.rooms()).toMatchObject({ rooms: [] });
  });

  it('holds so many messages and no more', async () => {
    const page = await world.render(world.client(), <Messages room="r" keep={3} />);
    await world.publish('r', ...'abcdefghij');
    expect(page.text()).toBe('[h i j]');
  });

  it('renders once for all that comes together', async () => {
    await world.publish('r', ...Array.from({ length: 100 }, (_, n) => n));
    let renders = 0;
    function Counts() {
      const { length } = useMessages('r', { last: 100 });
      renders++;
      return <p>{length}</p>;
    }
    const client = world.client();
    await world.during(() => client.connect());
    const page = await world.render(client, <Counts />);
    expect(page.text()).toBe('100');
    // StrictMode renders twice: mounted, and all of it.
    expect(renders).toBeLessThanOrEqual(6);
  });

  it('gives each message a key of its own, also where there are no offsets', async () => {
    let keys: number[] = [];
    function Keys() {
      keys = useMessages('live:1').map(({ key }) => key);
      return null;
    }
    await world.render(world.client(), <Keys />);
    await world.publish('live:1', 'a', 'b', 'c');
    expect(new Set(keys).size).toBe(3);
  });
});

describe('several components in one room', () => {
  it('share one join that brings what all of them want', async () => {
    await world.publish('r', 'a', 'b', 'c');
    const client = await world.as('ann');
    const page = await world.render(
      client,
      <>
        <State room="r" />
        <Messages room="r" last={1} keep={1} />
        <Messages room="r" last={3} />
        <Members room="r" name="Ann" />
      </>,
    );
    expect(page.text()).toBe('joined  missed 3[c][a b c]1: ann=Ann');
    expect(sent(client, 'join', 'leave', 'members', 'history')).toEqual([
      ['join', 'r', { last: 3, members: true, data: { name: 'Ann' } }],
    ]);
  });

  it('stay in the room until the last of them is gone', async () => {
    const client = world.client();
    const page = await world.render(client, [<Messages key={1} room="r" />, <Messages key={2} room="r" />]);
    await page.renderWith(client, [<Messages key={2} room="r" />]);
    await world.publish('r', 'a');
    expect(page.text()).toBe('[a]');
    // Another takes its place in the same commit.
    await page.renderWith(client, [<Messages key={3} room="r" />]);
    await world.publish('r', 'b');
    expect(page.text()).toBe('[a b]');
    expect(sent(client, 'join', 'leave').map(([type]) => type)).toEqual(['join']);
  });

  it('that come later and want more get it, without another join', async () => {
    await world.publish('r', 'a', 'b', 'c');
    const client = await world.as('ann');
    const page = await world.render(client, <State room="r" />);
    await world.publish('r', 'd');
    await page.renderWith(
      client,
      <>
        <Messages room="r" last={3} />
        <Members room="r" name="Ann" />
      </>,
    );
    expect(page.text()).toBe('[b c d]1: ann=Ann');
    const bob = await world.as('bob');
    await world.during(() => bob.room('r'));
    await world.publish('r', 'e');
    expect(page.text()).toBe('[b c d e]2: ann=Ann bob=');
    await world.during(() => bob.close());
    expect(page.text()).toBe('[b c d e]1: ann=Ann');
    expect(sent(client, 'join', 'leave').map(([type]) => type)).toEqual(['join']);
  });
});

describe('members', () => {
  it('come back, while another holds the room, to what was said meanwhile', async () => {
    const client = world.client();
    const both = (last: number) => (
      <>
        <State room="r" />
        <Messages room="r" last={last} />
      </>
    );
    const page = await world.render(client, both(5));
    await world.publish('r', 'a');
    await page.renderWith(client, <State room="r" />);
    await world.publish('r', 'b', 'c');
    await page.renderWith(client, both(5));
    expect(page.text()).toContain('[a b c]');
    expect(sent(client, 'join', 'leave')).toHaveLength(1);
  });

  it('get back what was cut off while nobody kept so much', async () => {
    const client = world.client();
    const page = await world.render(client, <Messages room="r" last={4} keep={4} />);
    await world.publish('r', 'a', 'b', 'c');
    await page.renderWith(client, <Messages room="r" keep={2} />);
    await world.publish('r', 'd');
    expect(page.text()).toBe('[c d]');
    await page.renderWith(client, <Messages room="r" last={4} />);
    expect(page.text()).toBe('[a b c d]');
  });

  it('come, go and change what they say of themselves', async () => {
    const [ann, bob] = [await world.as('ann'), await world.as('bob')];
    const page = await world.render(ann, <Members room="r" name="Ann" />);
    const other = await world.render(bob, <Members room="r" name="Bob" />);
    expect(page.text()).toBe('2: ann=Ann bob=Bob');
    await other.renderWith(bob, <Members room="r" name="Bobby" />);
    await world.during(() => world.broker.clock.advance(1_000));
    expect(page.text()).toBe('2: ann=Ann bob=Bobby');
    expect(sent(bob, 'presence')).toHaveLength(1);
    await other.unmount();
    expect(page.text()).toBe('1: ann=Ann');
  });
});

describe('a room that the node refuses', () => {
  it('says so to the component that shows the state', async () => {
    const client = world.client({
      token: await world.broker.token({ user: 'ann', rooms: [{ match: 'mine:*', join: true }] }),
    });
    const page = await world.render(client, <State room="secret" />);
    expect(page.text()).toMatch(/^refused forbidden/);
    expect(world.errors).toEqual([]);
  });

  it('tells onError where no component would show it', async () => {
    const client = world.client({
      token: await world.broker.token({ user: 'ann', rooms: [{ match: 'mine:*', join: true }] }),
    });
    await world.render(client, <Messages room="secret" />);
    expect(world.errors).toMatchObject([{ code: 'forbidden' }]);
  });
});

describe('what a component does', () => {
  it('publishes and signals with functions that stay the same', async () => {
    const functions = new Set<unknown>();
    function Talks() {
      const [publish, signal] = [usePublish<string>('r'), useSignal<string>('r')];
      useEffect(() => {
        functions.add(publish).add(signal);
      });
      return (
        <>
          <button type="button" onClick={() => publish('hello')} />
          <input onChange={() => signal('typing')} />
        </>
      );
    }
    const other = await world.render(world.client(), <Messages room="r" />);
    const heard: unknown[] = [];
    world.clients[0]!.room('r').on('signal', ({ data }) => heard.push(data));
    const page = await world.render(world.client(), <Talks />);
    const { element } = page;
    await world.during(() => element.querySelector('button')!.click());
    await page.renderWith(world.clients[1]!, <Talks />);
    expect(other.text()).toBe('[hello]');
    await world.during(() => type(element.querySelector('input')!, 'a'));
    expect(heard).toEqual(['typing']);
    expect(functions.size).toBe(2);
  });

  it('hears events with its newest listener', async () => {
    const heard: string[] = [];
    function Hears() {
      const [before, setBefore] = useState('');
      useRoomEvent('r', 'signal', ({ data }: Signal<string>) => {
        heard.push(`${before}>${data}`);
        setBefore(data);
      });
      return null;
    }
    await world.render(world.client(), <Hears />);
    const other = world.client();
    await world.during(() => other.connect());
    await world.during(() => other.signal('r', 'one'));
    await world.during(() => other.signal('r', 'two'));
    expect(heard).toEqual(['>one', 'one>two']);
  });
});

/** As a user does: React listens to what the browser tells. */
function type(input: HTMLInputElement, text: string): void {
  const { set } = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')!;
  set!.call(input, text);
  input.dispatchEvent(new Event('input', { bubbles: true }));
}

it('shows that the client is closed, and does not throw', async () => {
  const client = world.client();
  const page = await world.render(client, <State room="r" />);
  await world.during(() => client.close());
  expect(page.text()).toMatch(/^left/);
  const late = await world.render(client, <State room="other" />);
  expect(late.text()).toMatch(/^left closed: close\(\) was called/);
});
