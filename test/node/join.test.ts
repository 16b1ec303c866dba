/** The states of a join: what it waits for, what it answers, what becomes of messages that wait for it. */
import { describe, expect, it } from 'vitest';
import { BackplaneError } from '../../src/backplane/backplane.ts';
import { Room } from '../../src/hub/room.ts';
import type { JoinFailure } from '../../src/node/catch-up/cursor.ts';
import { Join, type JoinActions, type JoinFrom, type JoinState } from '../../src/node/membership/join.ts';
import { Feed } from '../../src/node/rooms/feed.ts';
import type { PublishCommand } from '../../src/protocol/frames.ts';
import { Session } from '../support/session.ts';

const ERROR = new BackplaneError('timeout', 'read', 'no answer');
const EPOCH = 'epoch001';

/** A join in a room that stands at 9, and everything that it has done for it. */
class Case {
  readonly log: string[] = [];
  readonly feed: Feed;
  readonly join: Join;
  /** What the first step of the cursor comes to; null: a read, which is not answered yet. */
  firstStep: 'begins' | 'begins with a gap' | null = 'begins';

  constructor(from: JoinFrom, last: number | null = null) {
    const rule = {
      history: { messages: 100, ageMs: 60_000 },
      presence: true,
      memberEvents: false,
      join: 'anyone',
      publish: 'anyone',
      acks: true,
      presenceData: true,
      slowReaders: 'resume',
    } as const;
    this.feed = new Feed(new Room('room'), rule, () => undefined);
    this.feed.startAt(EPOCH, 9);
    const actions: JoinActions = {
      start: ({ cursor }) => {
        this.log.push(`start@${cursor.isFresh ? 'live' : cursor.offset}`);
        if (cursor.isFresh) cursor.startAfter([this.feed.sentEpoch, this.feed.sentOffset]);
        if (this.firstStep !== null) cursor.begin(this.firstStep === 'begins');
      },
      joined: () => this.log.push('member'),
      failed: () => this.log.push('no member'),
      publishHeld: (_connection, { id }) => this.log.push(`publish ${id}`),
    };
    const reply = {
      joined: (result: object) => this.log.push(`ok ${JSON.stringify(result)}`),
      failed: ({ code }: JoinFailure) => this.log.push(`error ${code}`),
      abandoned: () => this.log.push('abandoned'),
    };
    this.join = new Join(new Session().connection, this.feed, from, last, reply, actions);
  }
}

type Event = (the: Case) => void;
const waits =
  (feed: boolean, acked: boolean, members = false): Event =>
  ({ join }) =>
    join.begin({ feed, acked, members });
const opened: Event = ({ join }) => join.feedOpened(null);
const notOpened: Event = ({ join }) => join.feedOpened(ERROR);
const acked =
  (offset: number | null, epoch = EPOCH): Event =>
  ({ join }) =>
    join.ackedKnown({ epoch, offset });
const starts =
  (offset: number, isNew = false): Event =>
  ({ join }) =>
    join.startKnown({ epoch: EPOCH, offset, isNew });
const notAcked: Event = ({ join }) => join.lookUpFailed(ERROR);
const members: Event = ({ join }) => join.membersKnown(() => ({ count: 1, users: 0, members: [] }));
const abandoned: Event = ({ join }) => join.abandon();
const reads: Event = (the) => (the.firstStep = null);
const missesSome: Event = (the) => (the.firstStep = 'begins with a gap');
const begun: Event = ({ join }) => join.cursor.begin(true);
const readFailed: Event = ({ join }) => join.cursor.fail(ERROR);
const publish =
  (id: number): Event =>
  ({ join }) =>
    join.hold({
      type: 'publish',
      id,
      room: 'room',
      data: Uint8Array.of(1),
      key: null,
      echo: true,
    } as PublishCommand);
const ok = (recovered: boolean, acked?: number | null) =>
  `ok ${JSON.stringify({ epoch: EPOCH, offset: 9, recovered, ...(acked === undefined ? {} : { acked }) })}`;

const TABLE: readonly (readonly [
  what: string,
  from: JoinFrom,
  events: readonly Event[],
  state: JoinState,
  log: readonly string[],
])[] = [
  ['waits for nothing', null, [waits(false, false)], 'over', ['start@live', 'member', ok(false)]],
  ['has a position', [EPOCH, 4], [waits(false, false)], 'over', ['start@4', 'member', ok(true)]],
  ['misses some', [EPOCH, 4], [missesSome, waits(false, false)], 'over', ['start@4', 'member', ok(false)]],
  ['waits for its feed', null, [waits(true, false)], 'waiting', []],
  ['has its feed', null, [waits(true, false), opened], 'over', ['start@live', 'member', ok(false)]],
  ['loses its feed', null, [waits(true, false), notOpened], 'over', ['no member', 'error timeout']],
  ['waits for the members', null, [waits(false, false, true)], 'waiting', []],
  ['waits for the members, and has its feed', null, [waits(true, false, true), opened], 'waiting', []],
  [
    'has looked for the members in vain',
    null,
    [waits(false, false, true), notAcked],
    'over',
    ['no member', 'error timeout'],
  ],
  [
    'is abandoned before it knows them',
    null,
    [waits(false, false, true), abandoned, members],
    'over',
    ['abandoned'],
  ],
  ['waits for the lookup', null, [waits(false, true)], 'waiting', []],
  ['has looked up', null, [waits(false, true), acked(6)], 'over', ['start@live', 'member', ok(false, 6)]],
  ['looked up in vain', null, [waits(false, true), notAcked], 'over', ['no member', 'error timeout']],
  ['resumes', 'acked', [waits(false, true), starts(6)], 'over', ['start@6', 'member', ok(true, 6)]],
  [
    'starts anew where the room stands',
    'acked',
    [waits(false, true), starts(9, true)],
    'over',
    ['start@9', 'member', ok(false, 9)],
  ],
  [
    'starts anew, and the room has moved on meanwhile',
    'acked',
    [waits(false, true), starts(8, true)],
    'over',
    ['start@8', 'member', ok(false, 8)],
  ],
  [
    'has nothing acknowledged',
    null,
    [waits(false, true), acked(null)],
    'over',
    ['start@live', 'member', ok(false, null)],
  ],
  [
    'has something acknowledged in an epoch that is over',
    null,
    [waits(false, true), acked(6, 'epoch000')],
    'over',
    ['start@live', 'member', ok(false, null)],
  ],
  ['waits for both, has the feed', null, [waits(true, true), opened], 'waiting', []],
  ['waits for both, has the lookup', null, [waits(true, true), acked(6)], 'waiting', []],
  [
    'has both, the feed last',
    'acked',
    [waits(true, true), starts(6), opened],
    'over',
    ['start@6', 'member', ok(true, 6)],
  ],
  [
    'has both, the lookup last',
    'acked',
    [waits(true, true), opened, starts(6)],
    'over',
    ['start@6', 'member', ok(true, 6)],
  ],
  [
    'loses its feed, whatever the lookup says then',
    null,
    [waits(true, true), notOpened, acked(6)],
    'over',
    ['no member', 'error timeout'],
  ],
  [
    'looked up in vain, whatever its feed does then',
    null,
    [waits(true, true), notAcked, opened],
    'over',
    ['no member', 'error timeout'],
  ],
  ['reads first', [EPOCH, 4], [reads, waits(false, false)], 'started', ['start@4']],
  ['has read', [EPOCH, 4], [reads, waits(false, false), begun], 'over', ['start@4', 'member', ok(true)]],
  [
    'could not read',
    [EPOCH, 4],
    [reads, waits(false, false), readFailed],
    'over',
    ['start@4', 'no member', 'error timeout'],
  ],
  [
    'could not read after it had begun',
    [EPOCH, 4],
    [waits(false, false), readFailed],
    'over',
    ['start@4', 'member', ok(true)],
  ],
  [
    'is abandoned while it waits',
    null,
    [waits(true, true), abandoned, opened, acked(6)],
    'over',
    ['abandoned'],
  ],
  [
    'is abandoned while it reads',
    [EPOCH, 4],
    [reads, waits(false, false), abandoned, begun],
    'over',
    ['start@4', 'abandoned'],
  ],
  [
    'is abandoned when it is over',
    null,
    [waits(false, false), abandoned],
    'over',
    ['start@live', 'member', ok(false)],
  ],
  [
    'has messages wait until it has started',
    null,
    [waits(true, true), publish(7), opened, publish(8), acked(6)],
    'over',
    ['start@live', 'member', ok(false, 6), 'publish 7', 'publish 8'],
  ],
  [
    'has them wait for its first step, not for its reply',
    [EPOCH, 4],
    [reads, waits(true, false), publish(7), opened],
    'started',
    ['start@4', 'publish 7'],
  ],
  [
    'has them sent when it fails',
    null,
    [waits(true, false), publish(7), notOpened],
    'over',
    ['no member', 'error timeout', 'publish 7'],
  ],
  [
    'leaves them to whoever abandons it',
    null,
    [waits(true, false), publish(7), abandoned],
    'over',
    ['abandoned'],
  ],
];

describe('a join that', () => {
  it.each(TABLE)('%s', (_what, from, events, state, log) => {
    const the = new Case(from);
    for (const event of events) event(the);
    expect([the.join.state, the.log]).toEqual([state, log]);
  });

  it.each([
    ['asks for the newest', null, 3, [waits(false, false)], { offset: 9, recovered: false, from: 9 }],
    [
      'asks for the newest after a position',
      [EPOCH, 4],
      3,
      [waits(false, false)],
      { offset: 9, recovered: true, from: 4 },
    ],
    [
      'asks for the members',
      null,
      null,
      [waits(true, true, true), members, acked(6), opened],
      { offset: 9, recovered: false, acked: 6, members: { count: 1, users: 0, members: [] } },
    ],
    [
      'asks for the newest where its user starts',
      'acked',
      3,
      [waits(false, true), starts(6)],
      { offset: 9, recovered: true, from: 6, acked: 6 },
    ],
  ] as const)('%s is told what follows', (_what, from, last, events, result) => {
    const the = new Case(from as JoinFrom, last);
    for (const event of events) event(the);
    expect(the.log.at(-1)).toBe(`ok ${JSON.stringify({ epoch: EPOCH, ...result })}`);
  });

  it('is abandoned hands over the messages that waited, once', () => {
    const { join } = new Case(null);
    join.begin({ feed: true, acked: false, members: false });
    const data = Uint8Array.of(1, 2, 3);
    join.hold({ type: 'publish', id: 7, room: 'room', data, key: null, echo: true } as PublishCommand);
    // The bytes belong to whoever brought them.
    data.fill(0);
    join.abandon();
    expect(join.takeHeld().map((held) => [held.id, [...held.data]])).toEqual([[7, [1, 2, 3]]]);
    expect(join.takeHeld()).toEqual([]);
  });
});
