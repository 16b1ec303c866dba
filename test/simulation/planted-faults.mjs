/**
 * Mistakes to plant, one at a time: what stands once in a source file, and what is put there. The simulation must find each. A change of the
 * source that moves such a text fails `simulation.test.ts`: change it here too, or plant another mistake in its place.
 */
const rooms = 'src/node/rooms';
const redis = 'src/backplane/redis';
const client = 'src/client';

/** In a script of Redis: planted where nodes read it. */
function inScript(name, from, to) {
  return {
    file: `${redis}/scripts/scripts.ts`,
    from: "'utf8');",
    to: `'utf8').replace(name === '${name}' ? ${JSON.stringify(from)} : '\\u0000', () => ${JSON.stringify(to)});`,
    script: `${redis}/scripts/${name}.lua`,
    text: from,
  };
}

export const PLANTED = {
  'a feed takes an envelope that does not follow': {
    file: `${rooms}/feed.ts`,
    from: 'if (envelope.first !== this.offset + 1) return false;',
    to: '',
  },
  'a feed takes an old envelope again': {
    file: `${rooms}/feed.ts`,
    from: 'if (envelope.last <= this.offset) return true;',
    to: '',
  },
  'a feed takes envelopes of another epoch': {
    file: `${rooms}/feed.ts`,
    from: 'if (epoch !== this.epoch) return false;',
    to: '',
  },
  'a feed forgets what it held': {
    file: `${rooms}/feed.ts`,
    from: 'if (!follows) this.hold(envelope);',
    to: '',
  },
  'a feed says nothing of a gap': {
    file: `${rooms}/feed.ts`,
    from: "this.push(['gap', this.room.name, this.offset + 1, to, 'expired']);",
    to: '',
  },
  'a feed says nothing of a reset': {
    file: `${rooms}/feed.ts`,
    from: "this.push(['reset', this.room.name, epoch, offset]);",
    to: '',
  },
  'a feed keeps its memory over a reset': {
    file: `${rooms}/feed.ts`,
    from: "this.push(['reset', this.room.name, epoch, offset]);\n    this.recent.clear();",
    to: "this.push(['reset', this.room.name, epoch, offset]);",
  },
  'a hole is not repaired': {
    file: `${rooms}/feeds.ts`,
    from: 'feed.hold(envelope);\n    void this.repair(feed);',
    to: 'feed.hold(envelope);',
  },
  'nothing is read after the links came back': {
    file: `${rooms}/feeds.ts`,
    from: '.map((feed) => (feed.keepsHistory ? this.missed(feed) : this.#renewNewest(feed)))',
    to: '.map((feed) => (feed.keepsHistory ? undefined : this.#renewNewest(feed)))',
  },
  'a read that began too early is not repeated': {
    file: `${rooms}/feeds.ts`,
    from: 'if (feed.isOpening || feed.isReading) feed.mustReadAgain = true;',
    to: '',
  },
  'rooms are not checked now and then': {
    file: 'src/node/broker-node.ts',
    from: 'void this.#feeds.checkSome(Math.ceil(this.#feeds.size / CHECK_ROUND_S));',
    to: '',
  },
  'what arrives while a feed opens is dropped': {
    file: `${rooms}/feeds.ts`,
    from: "if (feed.state !== 'live') return feed.hold(envelope);",
    to: "if (feed.state !== 'live') return;",
  },
  'a repair does not look at the epoch': {
    file: `${rooms}/feed-repair.ts`,
    from: 'if (page.epoch !== feed.epoch) await this.#restart(feed);\n      else if',
    to: 'if',
  },
  'a store that is behind is believed': {
    file: `${rooms}/feed-repair.ts`,
    from: 'else if (page.offset < feed.offset) await this.#renewEpoch(feed, feed.offset);',
    to: '',
  },
  'a page skips what the feed lacks': {
    file: `${rooms}/feed-repair.ts`,
    from: 'if (envelope.first > feed.offset + 1) this.#gap(feed, envelope.first - 1);',
    to: 'if (envelope.first > feed.offset + 1) feed.offset = envelope.first - 1;',
  },
  'a cursor goes live one message early': {
    file: 'src/node/catch-up/next-step.ts',
    from: "if (cursor.offset === feed.sentOffset) return 'go live';",
    to: "if (cursor.offset >= feed.sentOffset - 1) return 'go live';",
  },
  'a cursor of an ended numbering goes on': {
    file: 'src/node/catch-up/next-step.ts',
    from: "if (cursor.epoch !== feed.epoch) return cursor.offset === 0 && !cursor.hasBegun ? 'adopt' : 'restart';",
    to: '',
  },
  'a cursor adopts any epoch': {
    file: 'src/node/catch-up/next-step.ts',
    from: "cursor.offset === 0 && !cursor.hasBegun ? 'adopt' : 'restart'",
    to: "'adopt'",
  },
  'a pending reset is not waited for': {
    file: 'src/node/catch-up/next-step.ts',
    from: "if (feed.sentEpoch !== feed.epoch) return 'next turn';",
    to: '',
  },
  'rooms are not subscribed again on a new link': {
    file: `${redis}/subscribe/subscriptions.ts`,
    from: 'for (const chunk of chunks(subscriptions)) sending.push(this.#subscribeChunk(chunk));',
    to: '',
  },
  'rooms that are left stay subscribed': {
    file: `${redis}/subscribe/subscriptions.ts`,
    from: 'subscription.isWanted = false;',
    to: '',
  },
  'the push reader drops what a chunk cuts': {
    file: `${redis}/subscribe/push-reader.ts`,
    from: 'this.#held = [bytes];',
    to: 'this.#held = [];',
  },
  'the node does not check what it hears': {
    file: `${redis}/health/probe.ts`,
    from: 'this.#setDeaf(true);\n',
    to: '',
  },
  'a deaf subscribe link is kept': {
    file: `${redis}/health/probe.ts`,
    from: "this.#options.reconnect('the node does not receive its own probe');",
    to: '',
  },
  'a link that does not answer is kept': {
    file: `${redis}/publish/group-commit.ts`,
    from: "() => this.#options.reconnect('redis did not answer a PING'),",
    to: '() => undefined,',
  },
  'a read link that does not answer is kept': {
    file: `${redis}/link/links.ts`,
    from: ".catch(() => this.reads.reconnect('redis did not answer a PING'))",
    to: '.catch(() => undefined)',
  },
  'waiting publishes are not settled when the link goes': {
    file: `${redis}/publish/group-commit.ts`,
    from: "this.#failWaiting(this.#options.problem() ?? 'the link to Redis was lost');",
    to: '',
  },
  'scripts are not loaded again': {
    file: `${redis}/scripts/scripts.ts`,
    from: "if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;",
    to: 'throw error;',
  },
  'a promotion of Redis is not noticed': {
    file: `${redis}/link/link.ts`,
    from: 'this.#lineage = lineageOf(info);',
    to: '',
  },
  'members are not entered again after a promotion': {
    file: `${redis}/presence/lease.ts`,
    from: 'const held = lineage === this.#lineage ? this.#term : 0;',
    to: 'const held = this.#term;',
  },
  'a node does not sweep itself': {
    file: `${redis}/presence/redis-presence.ts`,
    from: 'await this.#sweeper.sweepOwn(upTo);',
    to: '',
  },
  'dead nodes are not swept': {
    file: `${redis}/presence/redis-presence.ts`,
    from: 'this.#sweeper.offer(lapsed);',
    to: '',
  },
  'a lost lease enters nobody again': {
    file: 'src/node/membership/presences.ts',
    from: 'leaseLost: () => this.#enterAll(),',
    to: 'leaseLost: () => undefined,',
  },
  'presence changes are not put back': {
    file: `${redis}/presence/presence-queue.ts`,
    from: 'room.waiting = [...kept, ...room.waiting];',
    to: '',
  },
  'member lists are not read after a lost link': {
    file: 'src/node/membership/presences.ts',
    from: 'void this.#rosters.resumed();',
    to: '',
  },
  'member lists that failed are not read again': {
    file: 'src/node/broker-node.ts',
    from: 'this.#presences.checkSome();',
    to: '',
  },
  'who goes live is not told what changed': {
    file: 'src/node/membership/presences.ts',
    from: 'this.#rosters.wentLive(connection, feed);',
    to: '',
  },
  'a client forgets its position': {
    file: `${client}/join-options.ts`,
    from: 'since: position ?? undefined,',
    to: 'since: undefined,',
  },
  'a client does not join again': {
    file: `${client}/rooms.ts`,
    from: 'for (const membership of this.#memberships.values()) membership.join();',
    to: '',
  },
  'a client does not tell what a reset says': {
    file: `${client}/reading.ts`,
    from: 'this.#move(position);',
    to: '',
  },
  'a client publishes again with another key': {
    file: `${client}/publish-queue.ts`,
    from: 'session.publish(entry.room, entry.data, entry.options, (error, result) =>',
    to: 'session.publish(entry.room, entry.data, { ...entry.options, key: String(Math.random()) }, (error, result) =>',
  },
  'a client forgets a publish that was cut off': {
    file: `${client}/publish-queue.ts`,
    from: 'else if (!(error instanceof RefusedError)) entry.doubtfulSince ??= sentAt;',
    to: 'else if (!(error instanceof RefusedError)) entry.isSettled = true;',
  },
  'keys of messages are forgotten': inScript('publish', "'NX', 'GET', 'PX', window)", "'GET', 'PX', 1)"),
  'offsets do not grow': inScript(
    'publish',
    'local first = offset and offset + 1 or 0',
    'local first = offset and math.max(1, offset) or 0',
  ),
  'messages are stored and not sent': inScript(
    'publish',
    "call('PUBLISH', KEYS[k + 1], envelope)\n",
    "if micros % 7 > 0 then call('PUBLISH', KEYS[k + 1], envelope) end\n",
  ),
  'acks may go back': inScript('ack', "'GT', 'CH'", "'CH'"),
  'a lease is not fenced': inScript(
    'sweep',
    "struct.unpack('>I4', entry) <= term",
    "struct.unpack('>I4', entry) <= term + 9",
  ),
  'history leaves out its newest envelope': inScript(
    'history',
    'while not whole and found < limit and from <= offset do',
    'while not whole and found < limit and from < offset do',
  ),
};
