/** Answers that leave in the turn of their requests. */
import { expect, it } from 'vitest';
import { ANSWERS_A_TURN, AnswerTurns } from '../../src/transport/http/answer-turns.ts';

function turns() {
  let due: (() => void)[] = [];
  const turns = new AnswerTurns({ atEndOfTurn: (work) => due.push(work) });
  const endTurn = () => {
    const works = due;
    due = [];
    for (const work of works) work();
  };
  return { turns, endTurn };
}

it('are so many; the others come at its end, all of them', () => {
  const { turns: answers, endTurn } = turns();
  for (let turn = 0; turn < 3; turn++) {
    let answered = 0;
    for (let n = 0; n < ANSWERS_A_TURN + 100; n++) answers.answer(answers.began(), () => answered++);
    expect(answered).toBe(ANSWERS_A_TURN);
    endTurn();
    expect(answered).toBe(ANSWERS_A_TURN + 100);
  }
});

it('do not keep back those of requests that came before', () => {
  const { turns: answers, endTurn } = turns();
  const earlier = Array.from({ length: 500 }, () => answers.began());
  endTurn();
  let answered = 0;
  for (const turn of earlier) answers.answer(turn, () => answered++);
  expect(answered).toBe(500);
});
