import { expect, test } from 'vitest';
import { codeOrMessage, sentenceOf } from '../../src/util/error-words.ts';

const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED' });

test.each([
  ['the code of the system', refused, 'ECONNREFUSED'],
  ['the message where there is no code', new Error('closed early'), 'closed early'],
  [
    'the message without its full stop',
    new Error('NOAUTH Authentication required.'),
    'NOAUTH Authentication required',
  ],
  ['the message where the code is a number', new DOMException('too slow', 'TimeoutError'), 'too slow'],
  ['what was thrown, if it is no error', 'just a text', 'just a text'],
])('an error is named by %s', (_, error, words) => {
  expect(codeOrMessage(error)).toBe(words);
});

test('a connect that failed at several addresses is told by what failed at each', () => {
  const both = new AggregateError([refused, new Error('no route')]);
  expect(sentenceOf(both)).toBe('connect ECONNREFUSED 127.0.0.1:1; no route');
  expect(sentenceOf(new AggregateError([], 'all failed'))).toBe('all failed');
  expect(sentenceOf(new TypeError())).toBe('TypeError');
});
