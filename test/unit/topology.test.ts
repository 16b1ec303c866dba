import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type ClusterView, parseView, type SlotMap } from '../../src/backplane/redis/cluster/slot-map.ts';
import { type FoundViews, Topology } from '../../src/backplane/redis/cluster/topology.ts';

const [A, B, C] = ['a'.repeat(40), 'b'.repeat(40), 'c'.repeat(40)] as const;

/** What `self` says: which epoch A and B have, and where the second half begins. */
function view(self: string, epochs: readonly [a: number, b: number], border: number): ClusterView {
  const line = (id: string, epoch: number, slots: string) =>
    `${id} 10.0.0.1:7001@17001 ${id === self ? 'myself,master' : 'master'} - 0 0 ${epoch} connected ${slots}`;
  const lines = [line(A, epochs[0], `0-${border - 1}`), line(B, epochs[1], `${border}-16383`)];
  return parseView(lines.join('\n'), 'cluster_state:ok', { host: '10.0.0.1' });
}

interface Question {
  answer(view: ClusterView): void;
  fail(): void;
}

/** A topology whose servers answer when the test says so. */
class Asked {
  servers: readonly string[] = [A, B];
  isTroubled = false;
  readonly maps: SlotMap[] = [];
  /** By server, in the order of the questions. */
  readonly questions = new Map<string, Question[]>();
  readonly searches: ((found: FoundViews) => void)[] = [];
  readonly topology = new Topology({
    servers: () => this.servers,
    ask: (server) =>
      new Promise((answer, reject) => {
        const question = { answer, fail: () => reject(new Error('no answer')) };
        this.questions.set(server, [...(this.questions.get(server) ?? []), question]);
      }),
    search: () => new Promise((resolve) => this.searches.push(resolve)),
    isTroubled: () => this.isTroubled,
    read: (map) => this.maps.push(map),
  });

  count(server: string): number {
    return this.questions.get(server)?.length ?? 0;
  }

  last(server: string): Question {
    return this.questions.get(server)!.at(-1)!;
  }

  /** Who has that slot by the newest map. */
  owner(slot: number): string | undefined {
    return this.maps.at(-1)?.owner(slot)?.id;
  }
}

let asked: Asked;

beforeEach(() => {
  vi.useFakeTimers();
  asked = new Asked();
  asked.topology.start(view(A, [1, 2], 100));
});

afterEach(() => {
  asked.topology.stop();
  vi.useRealTimers();
});

const turn = () => vi.advanceTimersByTimeAsync(0);

test('starts with the view that was found first, and asks every server each second', async () => {
  expect(asked.owner(99)).toBe(A);
  expect(asked.owner(100)).toBe(B);
  await vi.advanceTimersByTimeAsync(150);
  expect([asked.count(A), asked.count(B)]).toEqual([1, 1]);
  asked.last(A).answer(view(A, [1, 2], 100));
  asked.last(B).answer(view(B, [1, 2], 100));
  await vi.advanceTimersByTimeAsync(800);
  expect([asked.count(A), asked.count(B)]).toEqual([1, 1]);
  await vi.advanceTimersByTimeAsync(200);
  expect([asked.count(A), asked.count(B)]).toEqual([2, 2]);
});

test('asks ten times a second while something is not served', async () => {
  asked.isTroubled = true;
  for (let tenth = 1; tenth <= 5; tenth++) {
    await vi.advanceTimersByTimeAsync(100);
    asked.last(A).answer(view(A, [1, 2], 100));
  }
  expect(asked.count(A)).toBe(5);
});

test('waits for nobody: each answer is put to what the others said last', async () => {
  asked.topology.hint();
  asked.last(B).answer(view(B, [1, 3], 50));
  await turn();
  expect(asked.owner(60)).toBe(B);
  // Late, and from before the move.
  asked.last(A).answer(view(A, [1, 2], 100));
  await turn();
  expect(asked.owner(60)).toBe(B);
});

test('answers of one turn make one map', async () => {
  const before = asked.maps.length;
  asked.topology.hint();
  asked.last(A).answer(view(A, [1, 2], 100));
  asked.last(B).answer(view(B, [1, 2], 100));
  await turn();
  expect(asked.maps.length).toBe(before + 1);
});

test('a hint while a server is being asked has it asked once more afterwards', async () => {
  asked.topology.hint();
  asked.topology.hint();
  asked.topology.hint();
  expect(asked.count(A)).toBe(1);
  asked.last(A).answer(view(A, [1, 2], 100));
  await turn();
  expect(asked.count(A)).toBe(2);
  asked.last(A).answer(view(A, [1, 2], 100));
  await turn();
  expect(asked.count(A)).toBe(2);
});

test('keeps a claim of slots, also when whoever told of it is not asked any more', async () => {
  asked.topology.hint();
  asked.last(A).answer(view(A, [1, 2], 100));
  await turn();
  // A is the one that loses slots, and tells of it first.
  asked.topology.hint();
  asked.last(A).answer(view(A, [1, 9], 50));
  await turn();
  expect(asked.owner(60)).toBe(B);
  asked.servers = [B];
  asked.topology.hint();
  asked.last(B).fail();
  await turn();
  asked.servers = [A];
  asked.topology.hint();
  asked.last(A).answer(view(A, [1, 2], 100));
  await turn();
  expect(asked.owner(60)).toBe(B);
});

test('forgets that a server called the cluster down when that server falls silent', async () => {
  asked.topology.hint();
  asked.last(A).answer(view(A, [1, 2], 100));
  asked.last(B).answer({ ...view(B, [1, 2], 100), isDown: true });
  await turn();
  expect([...asked.maps.at(-1)!.down]).toEqual([B]);
  asked.topology.hint();
  asked.last(B).fail();
  await turn();
  expect([...asked.maps.at(-1)!.down]).toEqual([]);
});

test('searches once at a time where nobody can be asked, and goes by what it finds until somebody can', async () => {
  asked.servers = [];
  asked.topology.hint();
  asked.topology.hint();
  expect(asked.searches.length).toBe(1);
  asked.searches[0]!({ views: [], isAnother: false });
  await turn();
  asked.topology.hint();
  expect(asked.searches.length).toBe(2);
  asked.searches[1]!({ views: [view(B, [1, 9], 50)], isAnother: false });
  await turn();
  expect(asked.owner(60)).toBe(B);
  asked.servers = [A];
  asked.topology.hint();
  asked.last(A).answer(view(A, [1, 10], 70));
  await turn();
  expect(asked.owner(60)).toBe(A);
});

/** What a server says that knows only itself. */
function lonely(self: string, slots = ''): ClusterView {
  const line = `${self} 10.0.0.9:7009@17009 myself,master - 0 0 99 connected ${slots}`;
  return parseView(line, 'cluster_state:ok', { host: '10.0.0.9' });
}

test.each([
  ['lost its disk', lonely(C)],
  ['forgot the others and gave up its slots', lonely(A)],
  ['is part of another cluster', lonely(C, '0-16383')],
])('a server that %s changes nothing, though nobody else answers', async (_, said) => {
  const before = asked.maps.length;
  asked.servers = [A];
  asked.topology.hint();
  asked.last(A).answer(said);
  await turn();
  expect(asked.maps.slice(before).flatMap(({ masters }) => masters.map(({ id }) => id))).toEqual([]);
  asked.servers = [];
  asked.topology.hint();
  asked.searches[0]!({ views: [said], isAnother: false });
  await turn();
  expect([asked.maps.length, asked.owner(99), asked.owner(100)]).toEqual([before, A, B]);
  // One who knows the cluster is found at last.
  asked.topology.hint();
  asked.searches[1]!({ views: [said, view(B, [1, 9], 50)], isAnother: false });
  await turn();
  expect(asked.owner(60)).toBe(B);
});

test('goes by the highest claim of all that a search found', async () => {
  asked.servers = [];
  asked.topology.hint();
  asked.searches[0]!({ views: [view(A, [1, 2], 100), view(B, [1, 9], 50)], isAnother: false });
  await turn();
  expect(asked.owner(60)).toBe(B);
});

test('goes over to another cluster where a search says that nothing else is configured', async () => {
  asked.servers = [];
  asked.topology.hint();
  asked.searches[0]!({ views: [lonely(C, '0-16383')], isAnother: true });
  await turn();
  expect(asked.owner(99)).toBe(C);
});

test('reads no map after it was stopped', async () => {
  asked.topology.hint();
  const before = asked.maps.length;
  asked.topology.stop();
  asked.last(A).answer(view(A, [1, 2], 100));
  await vi.advanceTimersByTimeAsync(2_000);
  expect(asked.maps.length).toBe(before);
  expect(asked.count(A)).toBe(1);
});
