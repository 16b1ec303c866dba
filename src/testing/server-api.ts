import type { AckPage } from '../backplane/acks.ts';
import type { RoomsPage } from '../backplane/presence.ts';
import type { BrokerNode } from '../node/broker-node.ts';
import type {
  HistoryResult,
  MembersOptions,
  MembersResult,
  Position,
  PublishResult,
} from '../protocol/frames.ts';
import { keyProblem, roomNameProblem } from '../protocol/limits.ts';
import { decodeMessageFrames } from '../protocol/message-frame.ts';
import { packValue } from '../protocol/msgpack/values.ts';

export interface HistoryRead {
  /** The oldest messages after this position. Default: the newest ones. */
  readonly since?: Position;
  /** At most so many. Default and maximum: `limits.historyPage`. */
  readonly limit?: number;
}

/** Publishes as the HTTP API does, without a sender. Rejects for what it would refuse. */
export function publish(
  node: BrokerNode,
  maxPayloadBytes: number,
  room: string,
  data: unknown,
  key: string | null,
): Promise<PublishResult> {
  const problem = roomNameProblem(room) ?? (key === null ? null : keyProblem(key));
  if (problem !== null) throw new TypeError(problem);
  const packed = packValue(data);
  if (packed.length > maxPayloadBytes) {
    throw new RangeError(`data may have at most ${maxPayloadBytes} bytes, got ${packed.length}`);
  }
  return new Promise((resolve, reject) => {
    node.publishFromServer(
      { room, data: packed, key },
      {
        published: (epoch, offset, duplicate) =>
          resolve(duplicate ? { epoch, offset, duplicate } : { epoch, offset }),
        failed: reject,
      },
    );
  });
}

/** Stored messages, oldest first, and the position of the room. */
export async function history(
  node: BrokerNode,
  room: string,
  { since, limit }: HistoryRead,
): Promise<HistoryResult> {
  const { epoch, offset, frames } = await node.readHistory(checked(room), since ?? null, limit ?? null);
  return { epoch, offset, messages: decodeMessageFrames(frames) };
}

/** A page of who is in a room. Default and maximum of `limit`: `limits.membersPage`. */
export async function members(
  node: BrokerNode,
  room: string,
  { limit, after }: MembersOptions,
): Promise<MembersResult> {
  return node.listMembers(checked(room), { limit: limit ?? null, after: after ?? null });
}

export async function rooms(node: BrokerNode): Promise<RoomsPage> {
  return node.listRooms(null);
}

export async function acks(node: BrokerNode, room: string): Promise<AckPage> {
  return node.listAcks(checked(room), 0, null);
}

function checked(room: string): string {
  const problem = roomNameProblem(room);
  if (problem !== null) throw new TypeError(problem);
  return room;
}
