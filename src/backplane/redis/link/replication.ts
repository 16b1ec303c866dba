/** What a Redis says of its place among primaries and replicas, from its reply to INFO. */

export interface ServerAddress {
  readonly host: string;
  readonly port: number;
}

export interface Replication {
  /** Names the stream of writes that the server is at. A promoted replica begins one of its own. 40 hexadecimal digits, or '' where a server does not tell. */
  readonly id: string;
  /** The stream that it followed before; '' for a server that was not promoted since it started. */
  readonly previousId: string;
  /** Where in the earlier stream its own begins; -1 if there is no earlier one. */
  readonly since: number;
  /** How far it is in its stream; -1 where a server does not tell. */
  readonly offset: number;
  /** Of the process: another one after each start. '' where a server does not tell. */
  readonly runId: string;
  /** It follows another server: it accepts no writes, and may be promoted at any moment. */
  readonly isReplica: boolean;
  /** Who follows it now, by the addresses that they announce. */
  readonly replicas: readonly ServerAddress[];
}

export function readReplication(info: string): Replication {
  const previousId = /^master_replid2:([0-9a-f]{40})/m.exec(info)?.[1] ?? '';
  const since = Number(/^second_repl_offset:(-?\d+)/m.exec(info)?.[1] ?? -1);
  const wasPromoted = since >= 0 && /[^0]/.test(previousId);
  return {
    id: /^master_replid:([0-9a-f]{40})/m.exec(info)?.[1] ?? '',
    previousId: wasPromoted ? previousId : '',
    since: wasPromoted ? since : -1,
    offset: Number(/^master_repl_offset:(\d+)/m.exec(info)?.[1] ?? -1),
    runId: /^run_id:([0-9a-f]{40})/m.exec(info)?.[1] ?? '',
    isReplica: isReplica(info),
    replicas: [...info.matchAll(/^slave\d+:ip=([^,\r\n]+),port=(\d+)/gm)].map(([, host, port]) => ({
      host: host!,
      port: Number(port),
    })),
  };
}

export function isReplica(info: string): boolean {
  return /^role:slave/m.test(info);
}
