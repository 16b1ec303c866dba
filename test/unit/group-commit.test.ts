import { expect, test } from 'vitest';
import { BackplaneError, type PublishRequest, unavailable } from '../../src/backplane/backplane.ts';
import { GroupCommit, type GroupCommitOptions } from '../../src/backplane/redis/publish/group-commit.ts';
import type { Outcome } from '../../src/backplane/redis/publish/publisher.ts';
import type { RoomBatch } from '../../src/backplane/room-batch.ts';
import { FakeClock } from '../support/fake-clock.ts';

const TIMEOUT = new BackplaneError('timeout', 'publish', 'redis: Command timed out');
const MOVED = unavailable('publish', 'redis: MOVED 1 10.0.0.1:7001');
const STORED: Outcome = { epoch: 'epoch', first: 1, duplicates: null };

const names = (batches: readonly RoomBatch[]) =>
  batches.flatMap(({ requests }) => requests.map(({ frame }) => Buffer.from(frame).toString()));
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Calls are answered by the test; what is settled is in `settled`. */
class Commits {
  readonly calls: { batches: readonly RoomBatch[]; answer(outcomes: readonly Outcome[]): void }[] = [];
  readonly settled: string[] = [];
  readonly givenBack: string[][] = [];
  readonly commits: GroupCommit;
  problem: string | null = null;

  constructor(isCluster: boolean) {
    const options: GroupCommitOptions = {
      clock: new FakeClock(),
      maxWaitMs: 1_000,
      send: (batches) =>
        new Promise((answer) => this.calls.push({ batches, answer: (outcomes) => answer([...outcomes]) })),
      problem: () => this.problem,
      // Nobody answers.
      ping: () => new Promise(() => undefined),
      reconnect: () => undefined,
      suspectChanged: () => undefined,
      ...(isCluster ? { notRun: (batches) => this.givenBack.push(names(batches)) } : {}),
    };
    this.commits = new GroupCommit(options);
  }

  publish(name: string, room: string): void {
    const settled: PublishRequest['settled'] = (error) => this.settled.push(`${name} ${error?.code ?? 'ok'}`);
    const frame = Buffer.from(name);
    const history = { messages: 10, ageMs: 1_000 };
    this.commits.publish({ ...{ room, history, frame, offsetAt: 1, key: null, exclude: 0 }, settled });
  }

  async answer(...outcomes: readonly Outcome[]): Promise<void> {
    this.calls.at(-1)!.answer(outcomes);
    await turn();
  }
}

/** One call in flight with rooms a and b, and one message that waits. */
async function busy(isCluster: boolean): Promise<Commits> {
  const commits = new Commits(isCluster);
  commits.publish('1', 'a');
  commits.publish('2', 'b');
  await turn();
  commits.publish('3', 'a');
  await turn();
  expect(commits.calls.map(({ batches }) => names(batches))).toEqual([['1', '2']]);
  return commits;
}

test('what waits behind a late call fails on a single Redis', async () => {
  const commits = await busy(false);
  await commits.answer(TIMEOUT, TIMEOUT);
  expect(commits.settled).toEqual(['1 timeout', '2 timeout', '3 unavailable']);
});

test('on a cluster it is given back, and only what was sent is unknown', async () => {
  const commits = await busy(true);
  await commits.answer(TIMEOUT, TIMEOUT);
  expect(commits.settled).toEqual(['1 timeout', '2 timeout']);
  expect(commits.givenBack).toEqual([['3']]);
});

test('what was not run is given back ahead of what waits behind a late batch of the same call', async () => {
  const commits = await busy(true);
  await commits.answer(MOVED, TIMEOUT);
  expect(commits.settled).toEqual(['2 timeout']);
  expect(commits.givenBack).toEqual([['1', '3']]);
});

test('on a cluster what waits is given back when the link is lost', async () => {
  const commits = await busy(true);
  commits.problem = 'the link is down';
  commits.commits.linkDown();
  expect(commits.givenBack).toEqual([['3']]);
});

test('a server that was replaced is believed that it did nothing, and not that it stored', async () => {
  const commits = await busy(true);
  commits.commits.distrust('another master took over');
  await commits.answer(STORED, MOVED);
  expect(commits.settled).toEqual(['1 timeout']);
  expect(commits.givenBack[0]).toEqual(['2']);
});

test('nothing is given back by one that closes', async () => {
  const commits = await busy(true);
  commits.commits.close();
  commits.commits.linkDown();
  expect(commits.settled).toEqual(['3 unavailable', '1 timeout', '2 timeout']);
  expect(commits.givenBack).toEqual([]);
});
