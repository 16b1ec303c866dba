/** Joins a room for as long as the command runs. */
import type { RoomcastClient } from '../../client/node.ts';

/** Resolves when the room is joined, and rejects where the node refuses it. The client joins again after each reconnect. */
export function joined(client: RoomcastClient, name: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const room = client.room(name);
    room.on('joined', resolve);
    room.on('refused', reject);
  });
}
