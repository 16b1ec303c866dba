import { describe, expect, it } from 'vitest';
import { ALL_PERMITTED, type Identity } from '../../src/auth/identity.ts';
import { permissionsFrom } from '../../src/auth/permissions.ts';
import { Session } from '../support/session.ts';

const ANN: Identity = { user: 'ann', expiresAtMs: null, permissions: ALL_PERMITTED };

describe('an ack', () => {
  it('goes to the node with the user of its connection, and is answered', () => {
    const session = new Session({ identity: ANN });
    session.receive(['ack', 1, 'room', ['epoch001', 7]]);
    session.endTurn();
    expect(session.node.acks).toEqual([{ user: 'ann', room: 'room', epoch: 'epoch001', offset: 7 }]);
    expect(session.socket.frames).toEqual([['ok', 1, { epoch: 'epoch001', offset: 7 }]]);
    expect(session.metrics.commands.received.ack).toBe(1);
  });

  it('of nobody is forbidden: there is no one to keep it for', () => {
    const session = new Session();
    session.receive(['ack', 1, 'room', ['epoch001', 7]]);
    session.endTurn();
    expect(session.node.acks).toEqual([]);
    expect(session.socket.frames).toEqual([['error', 1, 'forbidden', expect.any(String)]]);
  });

  it.each(['closed:1', 'other', '$user:bob'])(
    'in %s, which the token does not permit to join, is forbidden',
    (room) => {
      const permissions = permissionsFrom([
        { match: 'open:*', join: true },
        { match: '$*', join: true },
      ]);
      const session = new Session({ identity: { ...ANN, permissions } });
      session.receive(['ack', 1, room, ['epoch001', 7]], ['ack', 2, 'open:1', ['epoch001', 7]]);
      session.endTurn();
      const [refusal, reply] = session.socket.frames;
      expect(refusal).toEqual(['error', 1, 'forbidden', expect.any(String)]);
      expect(reply?.slice(0, 2)).toEqual(['ok', 2]);
      expect(session.node.acks.map((ack) => ack.room)).toEqual(['open:1']);
    },
  );
});
