import { describe, expect, it } from 'vitest';
import { TopicList } from '../../src/connection/topic-list.ts';

class Member {
  readonly got: (Uint8Array | string)[] = [];

  fromTopic(message: Uint8Array | string): void {
    this.got.push(message);
  }
}

describe('a list of topics', () => {
  it('brings a message to each member once, and to nobody else', () => {
    const topics = new TopicList<Member>();
    const [ann, bob, eve] = [new Member(), new Member(), new Member()];
    for (const topic of ['a', 'a', 'b']) topics.subscribe(ann, topic);
    topics.subscribe(bob, 'a');
    topics.subscribe(eve, 'b');
    topics.publish('a', '1');
    topics.publishToOthers(ann, 'a', '2');
    topics.publish('c', '3');
    expect([ann.got, bob.got, eve.got]).toEqual([['1'], ['1', '2'], []]);
  });

  it('forgets a member, and a topic that it leaves', () => {
    const topics = new TopicList<Member>();
    const [ann, bob] = [new Member(), new Member()];
    for (const topic of ['a', 'b', 'c']) topics.subscribe(ann, topic);
    topics.subscribe(bob, 'b');
    topics.unsubscribe(ann, 'a');
    topics.unsubscribe(ann, 'never');
    topics.publish('a', '1');
    topics.publish('b', '2');
    topics.forget(ann);
    topics.forget(ann);
    topics.publish('b', '3');
    topics.publish('c', '4');
    expect([ann.got, bob.got]).toEqual([['2'], ['2', '3']]);
  });
});
