// @vitest-environment happy-dom
/** Whose client it is, and what becomes of it. */
import { version } from 'react';
import { renderToString } from 'react-dom/server';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { RoomcastClient } from '../../../src/client/index.ts';
import {
  RoomcastProvider,
  useMembers,
  useMessages,
  useRoom,
  useStatus,
} from '../../../src/client/react/index.ts';
import { ReactWorld, sent } from './world.tsx';

let world: ReactWorld;

beforeEach(async () => {
  world = await ReactWorld.start();
});

afterEach(() => world.stop());

function App() {
  const { state } = useStatus();
  const messages = useMessages<string>('r', { last: 5 });
  return (
    <p>
      {state} [{messages.map(({ data }) => data).join(' ')}]
    </p>
  );
}

it('runs with the React that the project names', () => {
  expect(version.split('.')[0]).toBe(process.env.REACT ?? '19');
});

it('a client of yours stays open when the provider unmounts', async () => {
  const client = world.client();
  const page = await world.render(client, <App />);
  expect(page.text()).toBe('connected []');
  await page.unmount();
  expect(client.status.state).toBe('connected');
});

it('a client that the provider makes is closed with it; StrictMode opens one connection', async () => {
  const create = () => world.client();
  const page = await world.renderBare(
    <RoomcastProvider create={create}>
      <App />
    </RoomcastProvider>,
  );
  await world.publish('r', 'a');
  expect(page.text()).toBe('connected [a]');
  expect(world.broker.connections).toHaveLength(1);
  // A function that is written anew in each render changes nothing.
  await page.render(
    <RoomcastProvider create={() => world.client()}>
      <App />
    </RoomcastProvider>,
  );
  expect(page.text()).toBe('connected [a]');
  await page.unmount();
  expect(world.broker.connections).toEqual([]);
  const states = world.clients.map(({ status }) => status.state);
  expect(states.filter((state) => state === 'closed')).toHaveLength(1);
  expect(states.filter((state) => state === 'connected')).toEqual([]);
});

it('another client takes the place of one, with rooms of its own', async () => {
  await world.publish('r', 'a');
  const [first, second] = [world.client(), world.client()];
  const page = await world.render(first, <App />);
  await page.renderWith(second, <App />);
  expect(page.text()).toBe('connected [a]');
  expect(sent(first, 'join', 'leave').map(([type]) => type)).toEqual(['join', 'leave']);
  expect(sent(second, 'join')).toHaveLength(1);
});

it('shows how the connection stands', async () => {
  const client = world.client();
  const page = await world.render(client, <App />);
  await world.during(() => world.broker.goOffline());
  expect(page.text()).toMatch(/^waiting/);
  world.broker.goOnline();
  await world.during(() => world.broker.clock.advance(1_000));
  expect(page.text()).toBe('connected []');
  await world.during(() => client.close());
  expect(page.text()).toBe('closed []');
});

it('is rendered on a server, where nothing connects', () => {
  function All() {
    const { state } = useRoom('r');
    const { count } = useMembers('r');
    return (
      <>
        <App />
        {state} {count}
      </>
    );
  }
  const client: RoomcastClient = world.client();
  const html = renderToString(
    <RoomcastProvider client={client}>
      <All />
    </RoomcastProvider>,
  );
  expect(html.replaceAll(/<!-- -->|<\/?p>/g, '')).toBe('idle []waiting 0');
  expect(client.status.state).toBe('idle');
});

it('says what is missing where there is no provider', () => {
  expect(() => renderToString(<App />)).toThrow('there is no <RoomcastProvider> above this component');
});
