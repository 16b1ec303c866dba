/**
 * A backplane can be written outside: the one in test/support/third-backplane/ is compiled against the types of the built package, keeps the
 * basic promises of the conformance suite, and joins two nodes.
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Backplane } from '../../src/backplane/backplane.ts';
import type * as Library from '../../src/index.ts';
import { Heard } from '../support/backplanes.ts';
import { TestClient } from '../support/client.ts';
import { framesOf, KEPT, publishTiny, textsOf, UNKEPT } from '../support/frames.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

interface ThirdBackplane {
  readonly Store: new () => object;
  readonly SharedBackplane: new (nodeId: string, store: object) => Backplane;
}

let third: ThirdBackplane;
let library: typeof Library;

beforeAll(async () => {
  const tsc = `${ROOT}node_modules/typescript/bin/tsc`;
  execFileSync(process.execPath, [tsc, '-p', `${ROOT}test/support/third-backplane`], { stdio: 'inherit' });
  third = await import(`${ROOT}test/support/third-backplane/dist/shared-backplane.mjs`);
  library = await import(`${ROOT}dist/index.js`);
});

async function started(store: object, nodeId: string) {
  const backplane = new third.SharedBackplane(nodeId, store);
  const heard = new Heard();
  await backplane.start(heard);
  return { backplane, heard };
}

describe('a third backplane', () => {
  it('numbers messages in the order of the calls, and keeps them', async () => {
    const { backplane } = await started(new third.Store(), 'aaaaaaaa');
    const results = await Promise.all(['a', 'b', 'c'].map((text) => publishTiny(backplane, 'room', text)));
    expect(results.map(({ error, offset }) => [error, offset])).toEqual([
      [null, 1],
      [null, 2],
      [null, 3],
    ]);
    const page = await backplane.read('room', KEPT, { after: 1, limit: 10 });
    expect([page.epoch, page.offset, textsOf(page.envelopes)]).toEqual([results[0]!.epoch, 3, ['b', 'c']]);
    await publishTiny(backplane, 'room', 'd', { history: { messages: 2, ageMs: 60_000 } });
    expect(textsOf((await backplane.read('room', KEPT, { limit: 10 })).envelopes)).toEqual(['c', 'd']);
  });

  it('delivers the same bytes to every node that is subscribed', async () => {
    const store = new third.Store();
    const [one, other] = [await started(store, 'aaaaaaaa'), await started(store, 'bbbbbbbb')];
    await Promise.all([one.backplane.subscribe('room'), other.backplane.subscribe('room')]);
    await publishTiny(one.backplane, 'room', 'a', { exclude: 7 });
    const [sent] = await one.heard.untilMessages('room', 1);
    const [got] = await other.heard.untilMessages('room', 1);
    expect(got!.bytes.equals(sent!.bytes)).toBe(true);
    expect([got!.origin, got!.excluded(0), framesOf(got!)]).toEqual([
      'aaaaaaaa',
      7,
      [{ offset: 1, text: 'a' }],
    ]);
  });

  it('stores what has a key once, and nothing of a room without history', async () => {
    const { backplane, heard } = await started(new third.Store(), 'aaaaaaaa');
    await backplane.subscribe('room');
    const first = await publishTiny(backplane, 'room', 'a', { key: 'k' });
    expect(await publishTiny(backplane, 'room', 'a', { key: 'k' })).toEqual({ ...first, duplicate: true });
    const unkept = await publishTiny(backplane, 'room', 'b', { history: UNKEPT });
    expect([unkept.epoch, unkept.offset]).toEqual(['', 0]);
    expect(textsOf(await heard.untilMessages('room', 2))).toEqual(['a', 'b']);
    expect(textsOf((await backplane.read('room', KEPT, { limit: 10 })).envelopes)).toEqual(['a']);
  });

  it('answers unavailable when it is closed', async () => {
    const { backplane } = await started(new third.Store(), 'aaaaaaaa');
    await backplane.close();
    expect((await publishTiny(backplane, 'room', 'a')).error).toMatchObject({ code: 'unavailable' });
    await expect(backplane.read('room', KEPT, { limit: 1 })).rejects.toMatchObject({ code: 'unavailable' });
    expect(backplane.status().ready).toBe(false);
  });

  it('joins two nodes of one program: what is published through one reaches the members of the other', async () => {
    const store = new third.Store();
    const loaded = library.loadConfig({ env: {}, flags: { port: '0', host: '127.0.0.1' } });
    if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
    const backplane = ({ nodeId }: Library.BackplaneParts) => new third.SharedBackplane(nodeId, store);
    const start = () => library.startNode(loaded.config, library.silentLog, { backplane });
    const nodes = [await start(), await start()];
    const [ann, bob] = await Promise.all(
      nodes.map(({ url }) => TestClient.connect(`${url.replace('http', 'ws')}/ws`)),
    );
    await bob!.ok('join', 'room');
    await ann!.ok('publish', 'room', { hello: 'bob' });
    const message = await bob!.next(([type]) => type === 'message');
    expect(message.slice(0, 2)).toEqual(['message', 'room']);
    await Promise.all([ann!.close(), bob!.close()]);
    await Promise.all(nodes.map((node) => node.stop()));
  });
});
