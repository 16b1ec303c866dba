/** PROTOCOL.md names the codes, frames and limits of the code, and no others. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { jsonCodec } from '../../src/protocol/codec.ts';
import { CLOSE, ERROR_STATUS, shouldReconnect } from '../../src/protocol/codes.ts';
import type { CommandType, GapReason, PushFrame } from '../../src/protocol/frames.ts';
import {
  MAX_DEPTH,
  MAX_HEADER_BYTES,
  MAX_HEADER_LINES,
  MAX_KEY_BYTES,
  MAX_ROOM_BYTES,
} from '../../src/protocol/limits.ts';

const text = readFileSync(new URL('../../src/protocol/PROTOCOL.md', import.meta.url), 'utf8');
const CLOSES = new Map<number, string>(Object.values(CLOSE).map(({ code, reason }) => [code, reason]));

// The compiler holds both to the types of the frames.
const COMMANDS: Record<CommandType, true> = {
  ...{ join: true, leave: true, publish: true, presence: true, members: true },
  ...{ history: true, ack: true, auth: true, ping: true },
};
const PUSHES: Record<PushFrame[0], true> = {
  ...{ hello: true, message: true, signal: true, member: true, presence: true, members: true, gap: true },
  ...{ reset: true, joined: true, removed: true, bye: true },
};

const GAP_REASONS: Record<GapReason, true> = {
  expired: true,
  forbidden: true,
  limited: true,
  skipped: true,
  replaced: true,
};

/** What stands under a heading of the second level. */
function section(heading: string): string {
  const rest = text.split(`\n## ${heading}\n`)[1];
  if (rest === undefined) throw new Error(`PROTOCOL.md has no section "${heading}"`);
  return rest.split('\n## ')[0]!;
}

/** The cells of a section's table, without its head. */
function rows(heading: string): string[][] {
  const lines = section(heading)
    .split('\n')
    .filter((line) => line.startsWith('| '));
  return lines.slice(2).map((line) => line.slice(2, -2).split(' | '));
}

it('the table of error codes has every code with its HTTP status', () => {
  const listed = rows('Error codes').map(([code, status]) => [code!.replaceAll('`', ''), Number(status)]);
  expect(listed.sort()).toEqual(Object.entries(ERROR_STATUS).sort());
});

it('the table of close codes has every code with its reason and what a client does', () => {
  const listed = rows('Close codes').map(([code, reason, client]) => ({
    code: Number(code),
    reason,
    client,
  }));
  // No node sends these: proxies go away, and 1006 stands for a close frame that is missing.
  const foreign = [1001, 1006];
  const expected = [...CLOSES].map(([code, reason]) => [code, reason]);
  expect(
    listed.filter(({ code }) => !foreign.includes(code)).map(({ code, reason }) => [code, reason]),
  ).toEqual(expected);
  expect(listed).toHaveLength(CLOSES.size + foreign.length);
  for (const { code, client } of listed) {
    expect([code, client!.startsWith('reconnect')]).toEqual([code, shouldReconnect(code)]);
  }
});

it('the prose names no other close code', () => {
  const named = [...text.matchAll(/(?<=\b(?:close|with|or|and) |\()(?:1|4)\d{3}\b(?=[\s),.])/g)].map(Number);
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter((code) => code !== 1006 && !CLOSES.has(code))).toEqual([]);
});

it('each command has a section, whose shape the decoder knows', () => {
  const shapes = [...section('Commands').matchAll(/^### `(\w+)`\n\n`\["(\w+)", id/gm)];
  expect(shapes.map(([, heading]) => heading).sort()).toEqual(Object.keys(COMMANDS).sort());
  for (const [, heading, type] of shapes) {
    expect(type).toBe(heading);
    const frame = new TextEncoder().encode(JSON.stringify([type, 1, 'lobby', ['h8ak4ujy', 1]]));
    expect(jsonCodec.decodeCommands(frame)[0]).not.toMatchObject({
      message: 'unknown frame type',
    });
  }
});

it('each push has a row', () => {
  const listed = rows('Pushes').map(([frame]) => /^`\["(\w+)"/.exec(frame!)![1]);
  expect(listed.sort()).toEqual(Object.keys(PUSHES).sort());
});

it('each reason of a gap is explained', () => {
  const why = section('Pushes').split('Why there is a `gap`.')[1]!;
  const listed = [...why.matchAll(/^- `(\w+)`: /gm)].map(([, reason]) => reason);
  expect(listed.sort()).toEqual(Object.keys(GAP_REASONS).sort());
});

it('the limits are those of the code', () => {
  for (const words of [
    `1 to ${MAX_ROOM_BYTES} bytes of UTF-8`,
    `a string of 1 to ${MAX_KEY_BYTES} bytes`,
    `more than ${MAX_DEPTH} levels deep`,
    `exceed ${MAX_HEADER_BYTES.toLocaleString('en')} bytes or ${MAX_HEADER_LINES} lines`,
  ]) {
    expect(text).toContain(words);
  }
});
