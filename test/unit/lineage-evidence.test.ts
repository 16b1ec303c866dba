import { describe, expect, it } from 'vitest';
import { doubtOf, hasLostRecord, type Others } from '../../src/backplane/redis/lineage/decide.ts';
import { Evidence } from '../../src/backplane/redis/lineage/evidence.ts';
import type { LineageRecord } from '../../src/backplane/redis/lineage/record.ts';
import type { Replication } from '../../src/backplane/redis/link/replication.ts';

const [HOME, OTHER, NOW] = ['a', 'b', 'c'].map((letter) => letter.repeat(40)) as [string, string, string];
const RUN = { home: HOME, runId: HOME.replaceAll('a', '1'), lineage: '' };
const ELSEWHERE = { home: OTHER, runId: OTHER.replaceAll('b', '2'), lineage: '' };
const CURRENT = { home: NOW, runId: NOW.replaceAll('c', '3'), lineage: '' };

function primary({ home: id, runId }: LineageRecord, previousId = ''): Replication {
  const since = previousId === '' ? -1 : 1;
  return { id, previousId, since, offset: 0, runId, isReplica: false, replicas: [] };
}

const HERE = primary(CURRENT);
const among = (...records: LineageRecord[]): Others => ({
  primaries: records.map((record) => primary(record)),
  isKnown: true,
});

describe('whether a partition may lack something', () => {
  it.each([
    ['has no record', null, RUN, HERE, among(), 'none'],
    ['is as the node left it', CURRENT, CURRENT, HERE, among(), 'none'],
    ['is on a server that started again', RUN, RUN, HERE, among(), 'compare'],
    ['is on one, and the node is new', RUN, undefined, HERE, among(), 'strange'],
    ['was settled by others after a restart', CURRENT, RUN, HERE, among(), 'late'],
    ['was settled before the node came', CURRENT, undefined, HERE, among(), 'none'],
    ['got another lineage meanwhile', { ...CURRENT, lineage: 'lineage1' }, RUN, HERE, among(), 'none'],
    [
      'is there without the lineage that it had',
      CURRENT,
      { ...RUN, lineage: 'lineage1' },
      HERE,
      among(),
      'late',
    ],
    ['moved here from a server that lives', ELSEWHERE, ELSEWHERE, HERE, among(ELSEWHERE), 'none'],
    ['moved here, and others were faster', CURRENT, ELSEWHERE, HERE, among(ELSEWHERE), 'none'],
    ['moved here before a restart that forgot it', ELSEWHERE, RUN, HERE, among(ELSEWHERE), 'compare'],
    ['moved, and the node is new', ELSEWHERE, undefined, HERE, among(ELSEWHERE), 'none'],
    ['was handed over, and others were faster', CURRENT, RUN, primary(CURRENT, HOME), among(), 'none'],
    ['is on a server that does not name its process', RUN, RUN, { ...HERE, runId: '' }, among(), 'none'],
  ] as const)('when it %s', (_, record, earlier, server, others, doubt) => {
    expect(doubtOf(record, earlier, server, others)).toBe(doubt);
  });
});

it('lost its record if the node knows of one in another run', () => {
  expect(hasLostRecord(null, RUN, HERE, among())).toBe(true);
  expect(hasLostRecord(null, CURRENT, HERE, among())).toBe(false);
  expect(hasLostRecord(null, undefined, HERE, among())).toBe(false);
  expect(hasLostRecord(null, ELSEWHERE, HERE, among(ELSEWHERE))).toBe(false);
  expect(hasLostRecord(CURRENT, RUN, HERE, among())).toBe(false);
});

describe('evidence', () => {
  const beat = (number: number) => ({ key: 'beat', number, sentAtMs: number });

  it('is the newest message of each kind, until a beat that was sent after it is answered', () => {
    const evidence = new Evidence(RUN.runId);
    evidence.answered('a', 'epoch--1', 1);
    evidence.answered('b', 'epoch--1', 7);
    evidence.heard('c', 'epoch--2', 3);
    evidence.read('d', 'epoch--3', 4);
    expect(evidence.sights.map(({ room, offset }) => `${room} ${offset}`)).toEqual(['b 7', 'c 3', 'd 4']);
    const { mark } = evidence;
    evidence.heard('c', 'epoch--2', 4);
    evidence.confirm(beat(1), mark);
    expect(evidence.sights.map(({ room, offset }) => `${room} ${offset}`)).toEqual(['c 4']);
    evidence.confirm(beat(2), evidence.mark);
    expect(evidence.sights).toEqual([]);
    expect(evidence.beat).toEqual(beat(2));
  });

  it('keeps what came over each connection of the subscribe link', () => {
    const evidence = new Evidence(RUN.runId);
    evidence.heardLast();
    evidence.heard('a', 'epoch--1', 9);
    evidence.heardLast();
    evidence.heard('a', 'epoch--1', 8);
    evidence.heardLast();
    expect(evidence.sights.map(({ offset }) => offset)).toEqual([9, 8]);
    evidence.confirm(beat(1), evidence.mark);
    expect(evidence.sights).toEqual([]);
  });

  it('is bounded, however often a link is lost', () => {
    const evidence = new Evidence(RUN.runId);
    for (let i = 1; i <= 100; i++) {
      evidence.heard('a', 'epoch--1', i);
      evidence.heardLast();
    }
    expect(evidence.sights.length).toBeLessThanOrEqual(17);
  });
});
