import { expect, it } from 'vitest';
import { names, positive, whole, wholes } from '../simulation/options.ts';

it('what is given is taken, and what is not is left out', () => {
  expect(whole('seeds', '100', 1)).toBe(100);
  expect(whole('seed', '0', 0)).toBe(0);
  expect(positive('hours', '.5')).toBe(0.5);
  expect(wholes('events', '3,17', 0)).toEqual([3, 17]);
  expect(names('faults', 'a,c', ['a', 'b', 'c'])).toEqual(['a', 'c']);
  expect([whole('a', undefined, 1), positive('a', undefined), wholes('a', undefined, 1)]).toEqual(
    Array(3).fill(undefined),
  );
});

it.each(['x', '', '-1', '1.5', '1e9', 'Infinity', '0', '9'.repeat(16)])(
  'a count of %j is a mistake, and no limit that is never reached',
  (value) => expect(() => whole('seeds', value, 1)).toThrow('--seeds must be a whole number from 1, got'),
);

it.each(['x', '', '0', '-1', '.', 'NaN'])('a time of %j is a mistake', (value) =>
  expect(() => positive('hours', value)).toThrow('--hours must be a number above 0, got'),
);

it('a name that nobody knows is a mistake, and so is a number of several', () => {
  expect(() => names('shape', 'a,x', ['a', 'b'])).toThrow('--shape: "x" is unknown: there are a, b');
  expect(() => wholes('events', '1,,2', 0)).toThrow('--events must be a whole number from 0, got ""');
});
