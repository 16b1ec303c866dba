// CPU, memory and connections of each process.
import { dashboard, graph, quantile, rate } from './panels.mjs';

const BY_NODE = '{{instance}}';

const load = [
  graph({
    title: 'Event loop delay, 99th percentile',
    description:
      'How late event loop turns were since the last scrape. About 10 ms is the resolution of the measurement and means idle; everything a node does waits for this.',
    unit: 's',
    queries: [['nodejs_eventloop_lag_p99_seconds', BY_NODE]],
  }),
  graph({
    title: 'Event loop delay, longest',
    description:
      'The longest single delay since the last scrape. A single high value: a garbage collection pause, or one huge room.',
    unit: 's',
    queries: [['nodejs_eventloop_lag_max_seconds', BY_NODE]],
  }),
  graph({
    title: 'CPU',
    description:
      'Share of one core, kernel included. A node works on one core and a little more: near 100 % it is full, add nodes.',
    unit: 'percentunit',
    queries: [[rate('process_cpu_seconds_total', 'instance'), BY_NODE]],
  }),
  graph({
    title: 'CPU in the kernel',
    description: 'CPU time spent in the kernel: mostly sending to sockets.',
    unit: 'percentunit',
    queries: [[rate('process_cpu_system_seconds_total', 'instance'), BY_NODE]],
  }),
  graph({
    title: 'CPU for each delivery',
    description:
      'CPU time of a node per message handed to sockets. It falls under load, when messages share system calls; a rise at the same load is a regression.',
    unit: 's',
    queries: [
      [
        `${rate('process_cpu_seconds_total', 'instance')} / ${rate('roomcast_messages_delivered_total', 'instance')}`,
        BY_NODE,
      ],
    ],
  }),
  graph({
    title: 'Messages in a WebSocket message',
    description:
      'Messages delivered for each WebSocket message sent, which includes replies and catching up: joined messages share one system call.',
    unit: 'short',
    queries: [
      [
        `${rate('roomcast_messages_delivered_total', 'instance')} / ${rate('roomcast_websocket_messages_sent_total', 'instance')}`,
        BY_NODE,
      ],
    ],
  }),
];

const memory = [
  graph({
    title: 'Memory of the process',
    description:
      'Resident memory. Sockets, data waiting for slow readers and uWebSockets.js are outside the JavaScript heap. Excludes socket buffers in the kernel.',
    unit: 'bytes',
    queries: [['process_resident_memory_bytes', BY_NODE]],
  }),
  graph({
    title: 'JavaScript heap used',
    description: 'A sawtooth is normal; check whether its lower edge rises while connections do not.',
    unit: 'bytes',
    queries: [['nodejs_heap_size_used_bytes', BY_NODE]],
  }),
  graph({
    title: 'Buffers outside the heap',
    description:
      'Memory of buffers that JavaScript references: recent messages of rooms, and data from Redis.',
    unit: 'bytes',
    queries: [['nodejs_external_memory_bytes', BY_NODE]],
  }),
  graph({
    title: 'Time in garbage collection',
    description:
      'Share of time, by kind. major: the whole heap; minor: young objects. Above a few percent, clients notice.',
    unit: 'percentunit',
    stack: true,
    queries: [[rate('nodejs_gc_duration_seconds_sum', 'kind'), '{{kind}}']],
  }),
  graph({
    title: 'Pause of garbage collection, 99th percentile',
    description: 'The length of single collections by node: nothing else runs during one.',
    unit: 's',
    queries: [[quantile(0.99, 'nodejs_gc_duration_seconds', 'instance'), BY_NODE]],
  }),
  graph({
    title: 'File descriptors in use',
    description: 'Share of the limit (ulimit -n). Each connection needs one. At 100 % no one can connect.',
    unit: 'percentunit',
    max: 1,
    queries: [['process_open_fds / process_max_fds', BY_NODE]],
  }),
];

const members = [
  graph({
    title: 'Connections by encoding',
    description: 'JSON costs a transcoding of each batch on each node that has such members.',
    unit: 'short',
    stack: true,
    queries: [['sum by (encoding) (roomcast_connections)', '{{encoding}}']],
  }),
  graph({
    title: 'Rooms',
    description: 'Rooms with a member on the node; each is a subscription in Redis.',
    unit: 'short',
    queries: [['roomcast_rooms', BY_NODE]],
  }),
  graph({
    title: 'Memberships',
    description: 'Pairs of a connection and a room that it is in.',
    unit: 'short',
    queries: [['roomcast_memberships', BY_NODE]],
  }),
];

const pressure = [
  graph({
    title: 'Slow readers',
    description:
      'Times that a member read so slowly that its socket was full (websocket.backpressureBytes), by policy of its room’s rule.',
    unit: 'cps',
    queries: [[rate('roomcast_slow_readers_total', 'policy'), '{{policy}}']],
  }),
  graph({
    title: 'Members catching up',
    description:
      'Members that a cursor feeds, not live: they came back, or read too slowly. Should fall to zero.',
    unit: 'short',
    queries: [['roomcast_catching_up_members', BY_NODE]],
  }),
  graph({
    title: 'Commands over the rate',
    description: 'Commands refused because their connection exceeded limits.commandsPerSecond.',
    unit: 'cps',
    queries: [[rate('roomcast_commands_rate_limited_total', 'instance'), BY_NODE]],
  }),
  graph({
    title: 'Heartbeat timeouts',
    description:
      'Connections closed because nothing arrived from them for two heartbeats. A burst means a network failed.',
    unit: 'cps',
    queries: [[rate('roomcast_heartbeat_timeouts_total', 'instance'), BY_NODE]],
  }),
  graph({
    title: 'WebSocket messages received',
    description: 'Each carries one or more commands.',
    unit: 'cps',
    queries: [[rate('roomcast_websocket_messages_received_total', 'instance'), BY_NODE]],
  }),
  graph({
    title: 'WebSocket messages sent',
    description: 'One for each socket that a fan-out reaches: sends are a node’s main cost.',
    unit: 'cps',
    queries: [[rate('roomcast_websocket_messages_sent_total', 'instance'), BY_NODE]],
  }),
];

export const node = dashboard({
  uid: 'roomcast-node',
  title: 'Roomcast / Node',
  description: 'CPU, memory and connections of each process. Choose a node above to see only that one.',
  sections: [
    ['Load', load],
    ['Memory and limits', memory],
    ['Members', members],
    ['Pressure', pressure],
  ],
});
