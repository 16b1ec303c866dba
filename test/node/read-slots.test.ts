import { describe, expect, it } from 'vitest';
import { ReadSlots } from '../../src/node/catch-up/read-slots.ts';

describe('slots for reads', () => {
  it('are given to so many, and to those who wait in the order in which they came', () => {
    const woken: string[] = [];
    const slots: ReadSlots<string> = new ReadSlots(2, (who) => {
      woken.push(who);
      slots.take(who);
    });
    expect(['a', 'b', 'c', 'd', 'e'].map((who) => slots.take(who))).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
    slots.free();
    expect(woken).toEqual(['c']);
    slots.free();
    slots.free();
    expect(woken).toEqual(['c', 'd', 'e']);
  });

  it('go to the next one where who is woken needs none any more', () => {
    const woken: string[] = [];
    const slots = new ReadSlots<string>(1, (who) => woken.push(who));
    for (const who of ['a', 'b', 'c']) slots.take(who);
    slots.free();
    expect(woken).toEqual(['b', 'c']);
  });
});
