import { describe, expect, it } from 'vitest';
import {
  type CursorState,
  type FeedPosition,
  nextStep,
  type Step,
} from '../../src/node/catch-up/next-step.ts';

const CURSOR: CursorState = {
  epoch: 'e1',
  offset: 5,
  isFresh: false,
  isKept: false,
  hasBegun: false,
  isConflating: false,
  isCut: false,
  isLeaving: false,
  last: null,
  mark: 0,
};
/** Nothing is pending. */
const FEED: FeedPosition = {
  keepsHistory: true,
  keptMessages: 100,
  epoch: 'e1',
  offset: 9,
  sentEpoch: 'e1',
  sentOffset: 9,
  sentMark: 0,
};

const TABLE: readonly (readonly [
  what: string,
  step: Step,
  cursor: Partial<CursorState>,
  feed: Partial<FeedPosition>,
  remembered: number | null,
  goneUpTo?: number,
  replaced?: number,
])[] = [
  ['at the topic', 'go live', { offset: 9 }, {}, null],
  ['at the topic, with more pending', 'go live', { offset: 9 }, { offset: 12 }, 10],
  ['at the topic, conflating', 'go live', { offset: 9, isConflating: true }, {}, null],
  ['behind, all remembered', 'feed', {}, {}, 6],
  ['behind, more than that remembered', 'feed', {}, {}, 1],
  ['behind, the next one not remembered', 'read', {}, {}, 7],
  ['behind, nothing remembered', 'read', {}, {}, null],
  ['behind what is pending only', 'go live', { offset: 5 }, { sentOffset: 5 }, 6],
  ['within what is pending', 'next turn', { offset: 7 }, { sentOffset: 5 }, 1],
  ['at the end of what is pending', 'next turn', { offset: 9 }, { sentOffset: 5 }, 1],
  ['ahead of the feed', 'reach', { offset: 10 }, {}, 1],
  ['ahead of the feed, with more pending', 'reach', { offset: 13 }, { offset: 12 }, 1],
  ['of another epoch', 'restart', { epoch: 'e0' }, {}, 1],
  ['of another epoch, before its first message', 'adopt', { epoch: 'e0', offset: 0 }, {}, 1],
  ['of another epoch, at the start of its user', 'restart', { epoch: 'e2', offset: 0, isKept: true }, {}, 1],
  [
    'of another epoch, before its first message, and answered',
    'restart',
    { epoch: 'e0', offset: 0, hasBegun: true },
    {},
    1,
  ],
  ['of another epoch, at the same offset', 'restart', { epoch: 'e0', offset: 9 }, {}, 1],
  ['of the epoch that a pending reset ends', 'next turn', {}, { epoch: 'e2', offset: 3 }, null],
  ['of the epoch that a pending reset begins', 'next turn', { epoch: 'e2' }, { epoch: 'e2' }, 1],
  ['fresh', 'begin', { isFresh: true, epoch: '' }, {}, null],
  ['fresh, with more pending', 'begin', { isFresh: true, epoch: '' }, { offset: 12 }, 10],
  ['fresh, with a reset pending', 'next turn', { isFresh: true, epoch: '' }, { epoch: 'e2' }, null],
  ['in a room without history', 'begin', {}, { keepsHistory: false, epoch: '', sentEpoch: '' }, null],
  ['conflating, one message behind', 'feed', { offset: 8, isConflating: true }, {}, 9],
  ['conflating, one message behind and not remembered', 'read', { offset: 8, isConflating: true }, {}, null],
  ['conflating, two messages behind', 'skip', { offset: 7, isConflating: true }, {}, 1],
  ['conflating, of another epoch', 'restart', { epoch: 'e0', isConflating: true }, {}, 1],
  ['fresh, with the newest two, remembered', 'enter', { isFresh: true, epoch: '', last: 2 }, {}, 8],
  ['fresh, with the newest two, one not remembered', 'read', { isFresh: true, epoch: '', last: 2 }, {}, 9],
  ['fresh, with the newest two, nothing remembered', 'read', { isFresh: true, epoch: '', last: 2 }, {}, null],
  ['fresh, with the newest two, one gone', 'enter', { isFresh: true, epoch: '', last: 2 }, {}, 9, 8],
  ['fresh, with the newest two, both gone', 'begin', { isFresh: true, epoch: '', last: 2 }, {}, null, 9],
  ['fresh, with the newest none', 'begin', { isFresh: true, epoch: '', last: 0 }, {}, 1],
  ['fresh, with more than there ever were', 'enter', { isFresh: true, epoch: '', last: 50 }, {}, 1],
  ['fresh, with more than the room keeps', 'enter', { isFresh: true, last: 50 }, { keptMessages: 3 }, 7],
  [
    'fresh, with the newest of an empty room',
    'begin',
    { isFresh: true, last: 5 },
    { offset: 0, sentOffset: 0 },
    null,
  ],
  ['fresh, with the newest, and more pending', 'enter', { isFresh: true, last: 2 }, { offset: 12 }, 8],
  [
    'fresh, with the newest, and a reset pending',
    'next turn',
    { isFresh: true, last: 2 },
    { epoch: 'e2' },
    8,
  ],
  [
    'with the newest of a room without history',
    'begin',
    { isFresh: true, last: 2 },
    { keepsHistory: false },
    null,
  ],
  ['behind by as much as it asked for', 'feed', { last: 4 }, {}, 1],
  ['behind by more than it asked for, remembered', 'limit', { last: 3 }, {}, 6],
  ['behind by more than it asked for, not remembered', 'read', { last: 3 }, {}, 7],
  ['behind by more than it asked for, the rest known to be gone', 'limit', { last: 1 }, {}, 8, 7],
  ['behind by more than it asked for, the rest not known to be gone', 'read', { last: 1 }, {}, 8, 6],
  ['behind by more than it asked for, all known to be gone', 'limit', { last: 1 }, {}, null, 9],
  ['behind, and wants nothing', 'limit', { last: 0 }, {}, 6],
  ['behind by more than it asked for, and begun', 'feed', { last: 3, hasBegun: true }, {}, 6],
  ['of another epoch, with the newest', 'restart', { epoch: 'e0', last: 3 }, {}, 1],
  ['behind by what it asked for, counted without what is replaced', 'feed', { last: 3 }, {}, 6, 0, 1],
  ['behind by more than it asked for, counted so', 'limit', { last: 2 }, {}, 6, 0, 1],
  ['fresh, wants what is remembered', 'enter', { isFresh: true, last: 2 }, {}, 8],
  ['fresh, wants older ones because of what is replaced', 'read', { isFresh: true, last: 2 }, {}, 8, 0, 1],
  ['without history, new', 'begin', { mark: Infinity }, { keepsHistory: false, sentMark: 4 }, null],
  ['without history, behind', 'newest', { mark: 3 }, { keepsHistory: false, sentMark: 4 }, null],
  ['without history, not behind', 'begin', { mark: 4 }, { keepsHistory: false, sentMark: 4 }, null],
  ['leaving', 'leave', { isLeaving: true }, {}, 1],
  ['leaving, at the topic', 'leave', { isLeaving: true, offset: 9 }, {}, 1],
];

describe('the next step of a cursor', () => {
  for (const [what, step, cursor, feed, remembered, goneUpTo = 0, replaced = 0] of TABLE) {
    it(`${what}: ${step}`, () => {
      expect(
        nextStep({ ...CURSOR, ...cursor }, { ...FEED, ...feed }, { remembered, goneUpTo, replaced }),
      ).toBe(step);
    });
  }
});
