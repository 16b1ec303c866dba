import { describe, expect, it } from 'vitest';
import { check, expectFlawless, type FaultKind } from '../support/checker.ts';
import { MemberLog } from '../support/member-log.ts';
import type { Acknowledged } from '../support/returning-client.ts';

const TOTAL = 20;

/** Message `n` has offset `n`. */
function acknowledged(total = TOTAL, epoch = 'e1'): Acknowledged[] {
  return Array.from({ length: total }, (_, i) => ({
    room: 'r',
    payload: i + 1,
    epoch,
    offset: i + 1,
    sentAtMs: i,
    ackedAtMs: i + 1,
  }));
}

function member(name = 'ann'): MemberLog {
  const log = new MemberLog(name, 'r');
  log.event({ kind: 'joined', epoch: 'e1', offset: 0, since: null, recovered: false });
  return log;
}

function give(log: MemberLog, from: number, to: number): MemberLog {
  for (let n = from; n <= to; n++) log.message(n, n);
  return log;
}

function back(log: MemberLog, recovered = true): void {
  log.event({ kind: 'closed', code: 1006 });
  log.event({ kind: 'joined', epoch: 'e1', offset: TOTAL, since: log.position, recovered });
}

function kinds(...logs: MemberLog[]): FaultKind[] {
  return [...new Set(check(acknowledged(), logs).faults.map(({ kind }) => kind))].sort();
}

describe('the checker passes', () => {
  it('a member that was given everything once, through a reconnect', () => {
    const log = give(member(), 1, 7);
    back(log);
    const verdict = check(acknowledged(), [give(log, 8, TOTAL)]);
    expect(verdict).toMatchObject({ faults: [], members: 1, messages: TOTAL, delivered: TOTAL });
    expect(() => expectFlawless(verdict)).not.toThrow();
  });

  it('a gap that was told', () => {
    const log = give(member(), 1, 5);
    log.event({ kind: 'gap', from: 6, to: 9 });
    const verdict = check(acknowledged(), [give(log, 10, TOTAL)]);
    expect(verdict).toMatchObject({ faults: [], gaps: 1, delivered: TOTAL - 4 });
  });

  it('a reset, and says which messages it took with it', () => {
    const log = give(member(), 1, 15);
    log.event({ kind: 'reset', epoch: 'e2', offset: 12 });
    log.message(13, 101);
    const verdict = check(acknowledged(), [log]);
    expect(verdict.faults).toEqual([]);
    expect(verdict.forgotten.map(({ offset }) => offset)).toEqual([16, 17, 18, 19, 20]);
  });

  it('a reset after which what survived is given again', () => {
    const log = give(member(), 1, TOTAL);
    log.event({ kind: 'reset', epoch: 'e2', offset: 0 });
    expect(kinds(give(log, 1, TOTAL))).toEqual([]);
  });

  it('one who came late, and one who left early', () => {
    const late = new MemberLog('late', 'r');
    late.event({ kind: 'joined', epoch: 'e1', offset: 10, since: null, recovered: false });
    const early = give(member('early'), 1, 10);
    early.event({ kind: 'left' });
    expect(kinds(give(late, 11, TOTAL), early)).toEqual([]);
  });

  it('one who was not a member in between', () => {
    const log = give(member(), 1, 5);
    log.event({ kind: 'left' });
    log.event({ kind: 'joined', epoch: 'e1', offset: 9, since: null, recovered: false });
    expect(kinds(give(log, 10, TOTAL))).toEqual([]);
  });
});

describe('the checker finds', () => {
  it('a message lost at the end', () => {
    expect(kinds(give(member(), 1, TOTAL - 1))).toEqual(['lost']);
  });

  it('messages lost in the middle without a word', () => {
    const log = give(member(), 1, 5);
    expect(kinds(give(log, 7, TOTAL))).toEqual(['lost', 'unannounced gap']);
  });

  it('messages lost while a client was away', () => {
    const log = give(member(), 1, 5);
    back(log);
    const verdict = check(acknowledged(), [give(log, 8, TOTAL)]);
    expect(() => expectFlawless(verdict)).toThrow(
      /1 unannounced gap:\n {2}ann in r: offset 8 \(message 8\) after 5, 0 messages after .*"since":\["e1",5\]/,
    );
    expect(() => expectFlawless(verdict)).toThrow(/2 lost:\n {2}ann in r: offset 6 \(message 6\)/);
  });

  it('a message given twice', () => {
    const log = give(member(), 1, 5);
    back(log);
    expect(kinds(give(log, 5, TOTAL))).toEqual(['repeated']);
  });

  it('a message stored twice, under two offsets', () => {
    const log = give(member(), 1, TOTAL);
    log.message(TOTAL + 1, 3);
    expect(kinds(log)).toEqual(['repeated']);
  });

  it('two messages in the wrong order', () => {
    const log = give(member(), 1, 5);
    log.message(7, 7);
    log.message(6, 6);
    expect(kinds(give(log, 8, TOTAL))).toEqual(['out of order', 'unannounced gap']);
  });

  it('another message than other members were given', () => {
    const log = give(member(), 1, TOTAL - 1);
    log.message(TOTAL, 99);
    expect(kinds(log)).toEqual(['lost', 'mixed']);
  });

  it('a gap that does not begin where the member stands', () => {
    const log = give(member(), 1, 5);
    log.event({ kind: 'gap', from: 8, to: 9 });
    expect(kinds(give(log, 10, TOTAL))).toEqual(['lost', 'unannounced gap']);
  });

  it('a gap that names messages that were never out of reach, and then gives them', () => {
    const log = give(member(), 1, 5);
    log.event({ kind: 'gap', from: 6, to: 9 });
    expect(kinds(give(log, 6, TOTAL))).toEqual(['out of order']);
  });

  it('messages lost behind a reset that did not take them', () => {
    const log = give(member(), 1, TOTAL);
    log.event({ kind: 'reset', epoch: 'e2', offset: TOTAL });
    log.message(TOTAL + 2, 102);
    const more = [{ ...acknowledged(1, 'e2')[0]!, payload: 101, offset: TOTAL + 1 }];
    expect(check(more, [log]).faults.map(({ kind }) => kind)).toEqual(['unannounced gap', 'lost']);
  });

  it('a new numbering that came without a reset', () => {
    const log = give(member(), 1, 5);
    log.event({ kind: 'joined', epoch: 'e2', offset: 3, since: ['e1', 5], recovered: true });
    expect(kinds(log)).toContain('unannounced gap');
  });

  it('a message that is given twice in a numbering that was taken over', () => {
    const log = member();
    log.event({ kind: 'reset', epoch: 'e2', offset: 0 });
    log.event({ kind: 'joined', epoch: 'e3', offset: 2, since: ['e2', 0], recovered: true });
    log.message(1, 201);
    log.message(2, 201);
    expect(log.position).toEqual(['e3', 2]);
    expect(check([], [log]).faults.map(({ kind }) => kind)).toContain('repeated');
  });
});

it('who has seen no message takes the numbering of the node, without a reset', () => {
  const log = give(member(), 1, 5);
  log.event({ kind: 'reset', epoch: 'e2', offset: 0 });
  log.event({ kind: 'joined', epoch: 'e1', offset: 5, since: ['e2', 0], recovered: true });
  expect(log.position).toEqual(['e1', 0]);
  expect(kinds(give(log, 1, TOTAL))).toEqual([]);
});
