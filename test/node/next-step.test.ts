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
  hasBegun: false,
  isConflating: false,
  isLeaving: false,
};
/** Nothing is pending. */
const FEED: FeedPosition = { keepsHistory: true, epoch: 'e1', offset: 9, sentEpoch: 'e1', sentOffset: 9 };

const TABLE: readonly (readonly [
  what: string,
  step: Step,
  cursor: Partial<CursorState>,
  feed: Partial<FeedPosition>,
  remembered: number | null,
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
  ['leaving', 'leave', { isLeaving: true }, {}, 1],
  ['leaving, at the topic', 'leave', { isLeaving: true, offset: 9 }, {}, 1],
];

describe('the next step of a cursor', () => {
  it.each(TABLE)('%s: %s', (_what, step, cursor, feed, remembered) => {
    expect(nextStep({ ...CURSOR, ...cursor }, { ...FEED, ...feed }, remembered)).toBe(step);
  });
});
