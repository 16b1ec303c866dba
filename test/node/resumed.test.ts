/** What a node checks when a part of its backplane is back: the rooms of that part, and no others. */
import { beforeEach, describe, expect, it } from 'vitest';
import { type Client, ROOM, World, type WorldNode } from '../support/world.ts';

const OTHER = 'room:2';
let world: World;
let here: WorldNode;
let there: WorldNode;

beforeEach(async () => {
  world = new World();
  [here, there] = [await world.node(), await world.node()];
});

/** A member of both rooms here, which missed a message in each. */
async function whoMissed(): Promise<Client> {
  const ann = here.client('ann');
  ann.join();
  ann.join({}, OTHER);
  await world.settle();
  here.port.isDeaf = true;
  const bob = there.client('bob');
  bob.publish('missed');
  bob.send(bob.publishFrame('missed too', 0, true, OTHER));
  await world.settle();
  here.port.isDeaf = false;
  expect(ann.told()).toBe('ok@0 ok@0');
  return ann;
}

describe('when a part of the backplane is back', () => {
  it('its rooms are read, and no others', async () => {
    const ann = await whoMissed();
    here.port.counts.pages = 0;
    here.port.resume((place) => place === ROOM);
    await world.settle();
    expect(ann.told()).toBe('ok@0 ok@0 missed');
    expect(here.port.counts.pages).toBe(1);
  });

  it('and it has no room here, nothing is read', async () => {
    await whoMissed();
    here.port.counts.pages = 0;
    here.port.resume((place) => place === 'elsewhere');
    await world.settle();
    expect(here.port.counts.pages).toBe(0);
  });

  it('all rooms are read if it does not say which', async () => {
    const ann = await whoMissed();
    here.port.resume();
    await world.settle();
    expect(ann.told()).toBe('ok@0 ok@0 missed missed too');
  });

  it('who is kept out is read if it has what is of the whole cluster', async () => {
    const ann = here.client('ann');
    ann.join();
    await world.settle();
    here.port.isCutOff = true;
    const removing = there.broker.server.removeFromRoom(ROOM, 'ann', { reason: '', forMs: 60_000 });
    await Promise.all([removing, world.settle()]);
    here.port.resume((place) => place === ROOM);
    await world.settle();
    expect(ann.told()).toBe('ok@0');
    here.port.resume((place) => place === null);
    await world.settle();
    expect(ann.told()).toBe('ok@0 removed');
  });
});
