/** The server API goes through the same permission checks as clients. */
import {
  AccessRefused,
  authorize,
  authorizeInCluster,
  type ClusterAction,
  NOBODY_KEPT_OUT,
  type RoomAccess,
  type RoomAction,
} from '../auth/authorize.ts';

/** @throws {AccessRefused} */
export function permitServer(action: RoomAction, room: string, access: (room: string) => RoomAccess): void {
  const refusal = authorize(action, room, 'server', access(room), NOBODY_KEPT_OUT);
  if (refusal !== null) throw new AccessRefused(refusal);
}

/** @throws {AccessRefused} */
export function permitServerInCluster(action: ClusterAction): void {
  const refusal = authorizeInCluster(action, 'server');
  if (refusal !== null) throw new AccessRefused(refusal);
}
