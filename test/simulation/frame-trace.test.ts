/** Which frames a trace shows. */
import { expect, test } from 'vitest';
import type { InspectedFrame } from '../../src/client/inspector.ts';
import { FrameTrace } from './world/frame-trace.ts';

const message = { direction: 'received', atMs: 0, frame: ['message', 'chat:a', 7] } as InspectedFrame;
const join = { direction: 'sent', atMs: 0, frame: ['join', 3, 'chat:b', {}] } as InspectedFrame;
const reply = { direction: 'received', atMs: 0, frame: ['ok', 3, {}] } as InspectedFrame;

function shown(...names: string[]): (string | null)[] {
  const trace = new FrameTrace(names);
  return [message, join, reply].map((frame) => trace.lineOf('client-1', frame));
}

test('a trace shows no frames that nobody asked for', () => {
  expect(shown()).toEqual([null, null, null]);
  expect(shown('client-2')).toEqual([null, null, null]);
});

test('a client shows all its frames, replies among them', () => {
  expect(shown('client-1')).toEqual([
    'client-1 gets ["message","chat:a",7]',
    'client-1 sends ["join",3,"chat:b",{}]',
    'client-1 gets ["ok",3,{}]',
  ]);
});

test('a room shows its frames of all clients, and with clients those of these', () => {
  expect(shown('chat:b')).toEqual([null, 'client-1 sends ["join",3,"chat:b",{}]', null]);
  expect(shown('chat:a', 'client-1')).toEqual(['client-1 gets ["message","chat:a",7]', null, null]);
  expect(shown('chat:a', 'client-2')).toEqual([null, null, null]);
});

test('a long frame is cut', () => {
  const long = { ...message, frame: ['message', 'chat:a', 7, 'x'.repeat(1_000)] };
  expect(new FrameTrace(['chat:a']).lineOf('client-1', long)).toMatch(/^.{0,230}x…$/);
});
