// Whether the promise holds: nothing acknowledged is lost, and what cannot be kept is named.
import { dashboard, graph, increase, quantile, quantiles, rate, states } from './panels.mjs';

const BY_NODE = '{{instance}}';

const promise = [
  graph({
    title: 'Gaps',
    description:
      'Told to members: messages that existed and could no longer be had. One for a whole room on a node, or for one member that was catching up. Longer history makes them fewer.',
    unit: 'short',
    bars: true,
    queries: [[increase('roomcast_gaps_total', 'instance'), BY_NODE]],
  }),
  graph({
    title: 'Resets',
    description:
      'Told to members: the numbering of a room began anew, because Redis lost it, or the room was unused for longer than metaTtlMs.',
    unit: 'short',
    bars: true,
    queries: [[increase('roomcast_resets_total', 'instance'), BY_NODE]],
  }),
  graph({
    title: 'Holes',
    description:
      'Envelopes that did not follow on what the node had of their room. Each is read from history before anything is delivered: members see nothing of it.',
    unit: 'short',
    bars: true,
    queries: [[increase('roomcast_holes_total', 'instance'), BY_NODE]],
  }),
  graph({
    title: 'Messages that filled holes',
    description: 'Messages that a node had missed and read from history for all members of a room.',
    unit: 'short',
    bars: true,
    queries: [[increase('roomcast_holes_filled_messages_total', 'instance'), BY_NODE]],
  }),
  graph({
    title: 'Deaf rooms',
    description:
      'Rooms that did not get what was published in them although the link was sound, and were subscribed anew.',
    unit: 'short',
    bars: true,
    queries: [[increase('roomcast_deaf_rooms_total', 'instance'), BY_NODE]],
  }),
  graph({
    title: 'Publishes under way',
    description:
      'Accepted messages that wait for the backplane now. Rises without falling: Redis does not answer.',
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
    description: 'Messages fed to members that were catching up, one for each member, by node.',
    unit: 'mps',
    queries: [[rate('roomcast_recovered_messages_total', 'instance'), BY_NODE]],
  }),
  graph({
    title: 'Reads of history',
    description: 'Reads that catching up took of Redis. What a node remembered itself took none.',
    unit: 'reqps',
    queries: [[rate('roomcast_history_reads_total', 'instance'), BY_NODE]],
  }),
  graph({
    title: 'Where recovery is served from',
    description:
      'All nodes together. Messages recovered with few or no reads beside them came from the memory of the nodes, which one read fills for all who come back. Both lines close to each other: from Redis, each member by itself.',
    unit: 'cps',
    queries: [
      [rate('roomcast_recovered_messages_total'), 'messages recovered'],
      [rate('roomcast_history_reads_total'), 'reads of Redis'],
    ],
  }),
  graph({
    title: 'Share recovered',
    description: 'Of all messages handed to members, those that came by catching up and not live.',
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
    description: 'What users said that they have processed, in rooms that keep it, by what came of it.',
    unit: 'cps',
    stack: true,
    queries: [[rate('roomcast_acks_total', 'outcome'), '{{outcome}}']],
  }),
  graph({
    title: 'Reads of acks',
    description: 'Joins that read what their user had acknowledged.',
    unit: 'reqps',
    queries: [[rate('roomcast_ack_reads_total', 'instance'), BY_NODE]],
  }),
];

const redis = [
  states({
    title: 'Links to Redis',
    description:
      'Each node has one link for commands and one for subscriptions. A link can be up and still deaf: see the probe lag.',
    words: ['up', 'down'],
    queries: [['roomcast_backplane_link_up', '{{instance}} {{link}}']],
  }),
  graph({
    title: 'Probe lag',
    description:
      'From publishing a probe to hearing it on the subscribe link of the same node: what delivery through Redis takes when nothing waits. No line: nothing was heard.',
    unit: 's',
    queries: quantiles('roomcast_backplane_probe_lag_seconds'),
  }),
  graph({
    title: 'Probe lag by node, 99th percentile',
    description:
      'One node alone without a line or above the others is deaf, or too busy to read what Redis sends.',
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
    description: 'All nodes together: Redis. One node alone: its network or its event loop.',
    unit: 's',
    queries: [[quantile(0.99, 'roomcast_backplane_batch_duration_seconds', 'instance'), BY_NODE]],
  }),
  graph({
    title: 'Reconnects',
    description:
      'Times that a link came back after it was lost. After each, all rooms with members are checked.',
    unit: 'short',
    bars: true,
    queries: [[increase('roomcast_backplane_reconnects_total', 'link'), '{{link}}']],
  }),
];

const commits = [
  graph({
    title: 'Messages in a group commit',
    description:
      'One call to Redis carries what gathered while the one before it was under way: few when idle, many under load.',
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
    description: 'Envelopes in group commits; commands and keys come on top.',
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
      'Scripts that Redis had forgotten, as after its restart; and what arrived and is no envelope of this version, as from nodes of another version or from strangers.',
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
      'Whether a node’s lease on its members’ entries is valid. When it lapses, another node removes them, and they are entered again when it is back.',
    words: ['held', 'not held'],
    queries: [['roomcast_backplane_presence_lease_held', BY_NODE]],
  }),
  graph({
    title: 'Leases lost and claimed',
    description:
      'lost: the lease of a living node lapsed or was forgotten. claimed: the entries of a dead node were taken over, to be removed.',
    unit: 'short',
    bars: true,
    queries: [
      [increase('roomcast_backplane_presence_leases_lost_total'), 'lost'],
      [increase('roomcast_backplane_presence_claims_total'), 'claimed'],
    ],
  }),
  graph({
    title: 'Entries of dead nodes removed',
    description: 'Each is a member whose leave is told to the room.',
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
  description: 'Whether the promise holds: nothing acknowledged is lost, and what cannot be kept is named.',
  sections: [
    ['The promise', promise],
    ['Recovery', recovery],
    ['Redis', redis],
    ['Group commit', commits],
    ['Presence', presence],
  ],
});
