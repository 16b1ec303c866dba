/** The recipes of docs/permissions.md: nodes take their rules, and `authorize` decides as the text beside them says. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { authorize, NOBODY_KEPT_OUT } from '../../src/auth/authorize.ts';
import type { Identity } from '../../src/auth/identity.ts';
import { permissionsFrom } from '../../src/auth/permissions.ts';
import { RIGHTS, type Right } from '../../src/auth/rights.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { RoomRule } from '../../src/config/room-rule.ts';
import { compileRules } from '../../src/config/rules.ts';
import { snippetsOf } from '../support/snippets.ts';

const snippets = snippetsOf('docs/permissions.md');
let scratch: string;

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'roomcast-permissions-'));
});

afterAll(() => rmSync(scratch, { recursive: true }));

function codeWith(language: string, piece: string): string {
  const found = snippets.filter((snippet) => snippet.language === language && snippet.code.includes(piece));
  expect(found).toHaveLength(1);
  return found[0]!.code;
}

function rulesWith(piece: string): (room: string) => RoomRule {
  const file = join(scratch, 'roomcast.yaml');
  writeFileSync(file, codeWith('yaml', piece));
  const loaded = loadConfig({
    file,
    env: { ROOMCAST_AUTH_SECRET: 'a secret of the recipes, 32 bytes long' },
  });
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  return compileRules(loaded.config);
}

const user = (rooms?: unknown): Identity => ({
  user: 'ann',
  expiresAtMs: null,
  permissions: permissionsFrom(rooms),
});

/** The claim of the token that is shown with a recipe. */
function claimWith(piece: string): unknown {
  const { rooms } = JSON.parse(codeWith('json', piece)) as { rooms: unknown };
  return rooms;
}

/** What somebody may do in a room as a member of it. */
function may(rule: (room: string) => RoomRule, room: string, identity: Identity | null): readonly Right[] {
  const asker = { identity, rooms: [room] };
  return RIGHTS.filter((right) => authorize(right, room, asker, rule(room), NOBODY_KEPT_OUT) === null);
}

const READING = ['join', 'members', 'history', 'ack', 'presence'];

describe('the recipe for', () => {
  it('a room that is read only: users read, nobody else, and none publishes', () => {
    const rule = rulesWith('news:*');
    expect(may(rule, 'news:today', user())).toEqual(READING);
    expect(may(rule, 'news:today', null)).toEqual([]);
  });

  it('a private chat: only who is invited by name is in', () => {
    const rule = rulesWith('private:*');
    const ann = user(claimWith('private:7'));
    expect(may(rule, 'private:7', ann)).toEqual(RIGHTS);
    expect(may(rule, 'private:8', ann)).toEqual([]);
    for (const other of [null, user(), user([{ match: 'chat:*', join: true, publish: true }])]) {
      expect(may(rule, 'private:7', other)).not.toContain('join');
    }
  });

  it('a moderated room: moderators speak and see who is there', () => {
    const rule = rulesWith('publish: claim');
    expect(may(rule, 'stage:1', user(claimWith('"mod"')))).toEqual(RIGHTS);
    const audience = user([{ match: 'stage:*', join: true }]);
    expect(may(rule, 'stage:1', audience)).toEqual(['join', 'history', 'ack', 'presence']);
    expect(rule('stage:1').memberEvents).toBe(true);
  });

  it('a feed of the server: heard live, and nothing else', () => {
    const rule = rulesWith('prices:*');
    for (const identity of [null, user(), user([{ match: '*', join: true, publish: true, history: true }])]) {
      expect(may(rule, 'prices:eur', identity)).toEqual(['join']);
      expect(may(rule, 'audit:1', identity)).toEqual([]);
    }
  });

  it('a node that denies by default: only what a rule and a token name', () => {
    const rule = rulesWith('defaultDeny: true');
    const ann = user([{ match: 'chat:*', join: true, publish: true }]);
    expect(may(rule, 'chat:1', ann)).toEqual(RIGHTS);
    expect(may(rule, 'chat:1', user())).toEqual([]);
    expect(may(rule, 'other', user([{ match: '*', join: true, publish: true }]))).toEqual([]);
  });
});

it('the rooms claim on that page grants what the text says', () => {
  const { permissions } = user(JSON.parse(codeWith('json', 'inbox:ann')));
  const granted = (room: string) => RIGHTS.filter((right) => permissions.allows(right, room));
  expect(granted('chat:1')).toEqual(RIGHTS);
  expect(granted('stage:1')).toEqual(['join', 'history', 'ack', 'presence']);
  expect(granted('inbox:ann')).toEqual(['history']);
  expect(granted('other')).toEqual([]);
});

it('the messages on that page are what a refused client is told', () => {
  const access: RoomRule = { ...rulesWith('news:*')('news:today'), access: { history: 'server' } };
  const say = (right: Right, room: string, identity: Identity, rule: RoomRule) =>
    `forbidden: ${authorize(right, room, { identity, rooms: [] }, rule, NOBODY_KEPT_OUT)?.message}\n`;
  expect(codeWith('text', 'forbidden:')).toBe(
    say('history', 'news:today', user(), access) +
      say('publish', 'chat:1', user([{ match: 'chat:*', join: true }]), { ...access, publish: 'anyone' }),
  );
});
