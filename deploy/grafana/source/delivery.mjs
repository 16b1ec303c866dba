// Whether delivery holds: no acknowledged message is lost, and every loss is reported.
import { dashboard, graph, increase, quantile, quantiles, rate, states } from './panels.mjs';

const BY_NODE = '{{instance}}';
const BY_SHARD = '{{shard}}';
const NO_CLUSTER = 'no Redis Cluster';

const promise = [
  graph({
    title: 'Gaps',
    description:
      'Gaps reported to members: messages that existed but are no longer stored. Counts one for a whole room on a node, or one for a member that was catching up. A longer history makes them rarer.',
    unit: 'short',
    bars: true,
    queries: [[increase('roomcast_gaps_total', 'instance'), BY_NODE]],
  }),
  graph({
    title: 'Resets',
    description:
      'Resets reported to members: the numbering of a room started over, because Redis lost it or the room was unused for longer than metaTtlMs.',
    unit: 'short',
    bars: true,
    queries: [[increase('roomcast_resets_total', 'instance'), BY_NODE]],
  }),
  graph({
    title: 'Holes',
    description:
      'Envelopes that did not follow the last message that the node had of their room. The node reads the missing part from history before it delivers more: members notice nothing.',
    unit: 'short',
    bars: true,
    queries: [[increase('roomcast_holes_total', 'instance'), BY_NODE]],
  }),
  graph({
    title: 'Messages that filled holes',
    description: 'Messages that a node missed and read from history for all members of a room.',
    unit: 'short',
    bars: true,
    queries: [[increase('roomcast_holes_filled_messages_total', 'instance'), BY_NODE]],
  }),
  graph({
    title: 'Rooms subscribed again',
    description: 'Rooms that missed published messages although the link worked, and were subscribed again.',
    unit: 'short',
    bars: true,
    queries: [[increase('roomcast_deaf_rooms_total', 'instance'), BY_NODE]],
  }),
  graph({
    title: 'Publishes in progress',
    description:
      'Accepted messages that wait for the backplane now. If it only rises, Redis does not answer.',
    unit: 'short',
    queries: [
      [
        'sum by (instance) (roomcast_messages_accepted_total) - sum by (instance) (roomcast_publishes_settled_total)',
        BY_NODE,
      ],
    ],
  }),
];

const recovery = [
  graph({
    title: 'Messages recovered',
    description: 'Messages sent to members that were catching up, once per member, by node.',
    unit: 'mps',
    queries: [[rate('roomcast_recovered_messages_total', 'instance'), BY_NODE]],
  }),
  graph({
    title: 'Reads of history',
    description:
      'Reads of Redis for members that were catching up. Messages still in a node’s memory need none.',
    unit: 'reqps',
    queries: [[rate('roomcast_history_reads_total', 'instance'), BY_NODE]],
  }),
  graph({
    title: 'Where recovery is served from',
    description:
      'All nodes together. Few reads per recovered message: nodes served them from memory, which one read fills for all returning members. Lines close together: each member was served from Redis.',
    unit: 'cps',
    queries: [
      [rate('roomcast_recovered_messages_total'), 'messages recovered'],
      [rate('roomcast_history_reads_total'), 'reads of Redis'],
    ],
  }),
  graph({
    title: 'Share recovered',
    description: 'Share of all messages handed to members that came by catching up, not live.',
    unit: 'percentunit',
    queries: [
      [
        `${rate('roomcast_recovered_messages_total')} / (${rate('roomcast_recovered_messages_total')} + ${rate('roomcast_messages_delivered_total')})`,
        'recovered',
      ],
    ],
  }),
  graph({
    title: 'Acks by outcome',
    description: 'Acks from users, in rooms that keep them, by outcome.',
    unit: 'cps',
    stack: true,
    queries: [[rate('roomcast_acks_total', 'outcome'), '{{outcome}}']],
  }),
  graph({
    title: 'Reads of acks',
    description: 'Joins that read the acknowledged position of their user.',
    unit: 'reqps',
    queries: [[rate('roomcast_ack_reads_total', 'instance'), BY_NODE]],
  }),
];

const redis = [
  states({
    title: 'Links to Redis',
    description:
      'Each node has one link for commands and one for subscriptions. A connected link can still deliver nothing: see the probe lag.',
    words: ['up', 'down'],
    queries: [['roomcast_backplane_link_up', '{{instance}} {{link}} {{shard}}']],
  }),
  graph({
    title: 'Probe lag',
    description:
      'From publishing a probe to receiving it on the subscribe link of the same node: how long delivery through Redis takes when nothing waits. No line: no probe arrived.',
    unit: 's',
    queries: quantiles('roomcast_backplane_probe_lag_seconds'),
  }),
  graph({
    title: 'Probe lag by node, 99th percentile',
    description:
      'A single node without a line, or above the others, receives nothing or is too busy to read from Redis.',
    unit: 's',
    queries: [[quantile(0.99, 'roomcast_backplane_probe_lag_seconds', 'instance'), BY_NODE]],
  }),
  graph({
    title: 'Redis round trip',
    description:
      'From sending a group commit to its answer: network, waiting in Redis and the script itself.',
    unit: 's',
    queries: quantiles('roomcast_backplane_batch_duration_seconds'),
  }),
  graph({
    title: 'Redis round trip by node, 99th percentile',
    description: 'All nodes slow: Redis. One node slow: its network or its event loop.',
    unit: 's',
    queries: [[quantile(0.99, 'roomcast_backplane_batch_duration_seconds', 'instance'), BY_NODE]],
  }),
  graph({
    title: 'Reconnects',
    description: 'Times that a lost link reconnected. The node then checks all rooms with members.',
    unit: 'short',
    bars: true,
    queries: [[increase('roomcast_backplane_reconnects_total', 'link'), '{{link}}']],
  }),
  graph({
    title: 'Promotions',
    description:
      'Another Redis took over, as each node saw it. planned: the former primary proved that nothing was lost, and members notice nothing. unplanned: writes may be lost, and the rooms of that server were reset.',
    unit: 'short',
    bars: true,
    queries: [[increase('roomcast_backplane_promotions_total', 'instance, kind'), '{{instance}} {{kind}}']],
  }),
];

const cluster = [
  states({
    title: 'Masters of a Redis Cluster',
    description:
      'Whether a node can rely on each master: its links are up, it takes writes, what is published there arrives, and it does not say that the cluster is down. One red band: that node. All nodes red for one master: that master.',
    words: ['serves', 'away'],
    queries: [['roomcast_backplane_shard_ready', '{{instance}} {{shard}}']],
  }),
  graph({
    title: 'Partitions by shard',
    description:
      'Partitions that each master has. Equal shares mean equally many rooms; a sudden change is a failover, a slow one slots that are moved.',
    unit: 'short',
    stack: true,
    none: NO_CLUSTER,
    queries: [['max by (shard) (roomcast_backplane_shard_partitions)', BY_SHARD]],
  }),
  graph({
    title: 'Probe lag by shard',
    description:
      'The newest probe through each master, of the slowest node. One master above the others is busy or far away.',
    unit: 's',
    none: NO_CLUSTER,
    queries: [['max by (shard) (roomcast_backplane_shard_probe_lag_seconds)', BY_SHARD]],
  }),
  graph({
    title: 'Messages by shard',
    description:
      'Messages published to each master, of all nodes. Uneven with even partitions: single rooms are very busy.',
    unit: 'mps',
    none: NO_CLUSTER,
    queries: [[rate('roomcast_backplane_shard_messages_total', 'shard'), BY_SHARD]],
  }),
  graph({
    title: 'Group commits by shard',
    description:
      'Calls that publish, to each master, of all nodes. Each costs a master about as much, whatever it carries.',
    unit: 'reqps',
    none: NO_CLUSTER,
    queries: [[rate('roomcast_backplane_shard_commits_total', 'shard'), BY_SHARD]],
  }),
  graph({
    title: 'Partitions moved, batches held',
    description:
      'moved: partitions that went to another master, as each node saw it. held: batches of messages that Redis did not run meanwhile, and that were sent again. Held without moves: a master without a majority.',
    unit: 'short',
    bars: true,
    none: NO_CLUSTER,
    queries: [
      [increase('roomcast_backplane_partition_moves_total', 'instance'), '{{instance}} moved'],
      [increase('roomcast_backplane_held_batches_total', 'instance'), '{{instance}} held'],
    ],
  }),
  graph({
    title: 'Slot map reads',
    description:
      'Answers of masters about who has which slots: about one a second for each node and master. A node without a line does not see slots move.',
    unit: 'cps',
    none: NO_CLUSTER,
    queries: [[rate('roomcast_backplane_slot_map_reads_total', 'instance'), BY_NODE]],
  }),
];

const commits = [
  graph({
    title: 'Messages in a group commit',
    description:
      'One call to Redis carries the messages that arrived during the previous call: few when idle, many under load.',
    unit: 'short',
    queries: quantiles('roomcast_backplane_batch_messages'),
  }),
  graph({
    title: 'Rooms in a group commit',
    description: 'Rooms that shared a call to Redis.',
    unit: 'short',
    queries: quantiles('roomcast_backplane_batch_rooms'),
  }),
  graph({
    title: 'Group commits',
    description: 'Calls to Redis that publish, by node.',
    unit: 'reqps',
    queries: [[rate('roomcast_backplane_batch_messages_count', 'instance'), BY_NODE]],
  }),
  graph({
    title: 'Bytes to Redis',
    description: 'Envelopes in group commits, without commands and keys.',
    unit: 'Bps',
    queries: [[rate('roomcast_backplane_batch_bytes_total', 'instance'), BY_NODE]],
  }),
  graph({
    title: 'Messages in an envelope received',
    description: 'Messages relayed for each envelope that arrived from the backplane.',
    unit: 'short',
    queries: [
      [
        `${rate('roomcast_messages_relayed_total', 'instance')} / ${rate('roomcast_envelopes_received_total', 'instance')}`,
        BY_NODE,
      ],
    ],
  }),
  graph({
    title: 'Scripts sent again, envelopes dropped',
    description:
      'Scripts that Redis had forgotten, as after a restart; and received data that is not an envelope of this version, as from nodes of another version or other programs.',
    unit: 'short',
    bars: true,
    queries: [
      [increase('roomcast_backplane_script_reloads_total'), 'scripts sent again'],
      [increase('roomcast_backplane_malformed_envelopes_total'), 'envelopes dropped'],
    ],
  }),
];

const presence = [
  states({
    title: 'Presence leases',
    description:
      'Whether a node’s lease on its members’ entries is valid. When it lapses, another node removes the entries, and the node enters them again when it is back.',
    words: ['held', 'not held'],
    queries: [['roomcast_backplane_presence_lease_held', BY_NODE]],
  }),
  graph({
    title: 'Leases lost and claimed',
    description:
      'lost: the lease of a running node lapsed or Redis lost it. claimed: another node took over the entries of a dead node, to remove them.',
    unit: 'short',
    bars: true,
    queries: [
      [increase('roomcast_backplane_presence_leases_lost_total'), 'lost'],
      [increase('roomcast_backplane_presence_claims_total'), 'claimed'],
    ],
  }),
  graph({
    title: 'Entries of dead nodes removed',
    description: 'For each, the room is told that the member left.',
    unit: 'short',
    bars: true,
    queries: [[increase('roomcast_backplane_presence_swept_entries_total', 'instance'), BY_NODE]],
  }),
  graph({
    title: 'Presence changes in a call',
    description: 'Joins and leaves that shared a call to Redis.',
    unit: 'short',
    queries: quantiles('roomcast_backplane_presence_batch_changes'),
  }),
  graph({
    title: 'Presence round trip',
    description: 'From sending presence changes to the answer of Redis.',
    unit: 's',
    queries: quantiles('roomcast_backplane_presence_batch_duration_seconds'),
  }),
];

export const delivery = dashboard({
  uid: 'roomcast-delivery',
  title: 'Roomcast / Delivery',
  description: 'Whether delivery holds: no acknowledged message is lost, and every loss is reported.',
  sections: [
    ['Delivery', promise],
    ['Recovery', recovery],
    ['Redis', redis],
    ['Redis Cluster', cluster],
    ['Group commit', commits],
    ['Presence', presence],
  ],
});
