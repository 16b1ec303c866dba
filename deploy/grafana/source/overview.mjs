// Health and load at a glance: open this first.
import { dashboard, graph, increase, number, quantile, quantiles, rate, states } from './panels.mjs';

const READY = 'roomcast_backplane_ready * (1 - roomcast_draining)';

const now = [
  number({
    title: 'Nodes in service',
    description:
      'Nodes whose backplane works and that are not shutting down, as in /readyz. Excludes nodes that cannot be scraped.',
    unit: 'short',
    queries: [[`sum(${READY})`, 'in service']],
    steps: [],
  }),
  number({
    title: 'Connections',
    description: 'WebSocket connections open now, on all chosen nodes.',
    unit: 'short',
    queries: [['sum(roomcast_connections)', 'connections']],
  }),
  number({
    title: 'Messages in',
    description: 'Messages accepted from clients and from the HTTP API.',
    unit: 'mps',
    queries: [[rate('roomcast_messages_accepted_total'), 'in']],
  }),
  number({
    title: 'Messages out',
    description:
      'Messages handed to sockets, once for each member reached. Excludes messages sent to members that catch up.',
    unit: 'mps',
    queries: [[rate('roomcast_messages_delivered_total'), 'out']],
  }),
  number({
    title: 'Delivery, 99th percentile',
    description:
      'From the moment a publishing node sent an envelope to its fan-out on the receiving node: all but 1 % took less. Includes clock differences between machines.',
    unit: 's',
    queries: [[quantile(0.99, 'roomcast_delivery_latency_seconds'), 'p99']],
    steps: [
      [0.1, 'orange'],
      [0.5, 'red'],
    ],
  }),
  number({
    title: 'Gaps and resets',
    description:
      'Gaps and resets reported in this interval, to single members or to whole rooms on a node. If it is not zero, see Delivery.',
    unit: 'short',
    queries: [[`${increase('roomcast_gaps_total')} + ${increase('roomcast_resets_total')}`, 'told']],
    steps: [[0.5, 'red']],
  }),
];

const traffic = [
  graph({
    title: 'Connections by node',
    description:
      'Stacked: the upper edge is the total. Nodes should be about even, except for a while after one starts.',
    unit: 'short',
    stack: true,
    queries: [['sum by (instance) (roomcast_connections)', '{{instance}}']],
  }),
  graph({
    title: 'Messages in by node',
    description: 'Messages accepted by each node. Stacked: the upper edge is the total.',
    unit: 'mps',
    stack: true,
    queries: [[rate('roomcast_messages_accepted_total', 'instance'), '{{instance}}']],
  }),
  graph({
    title: 'Messages out by node',
    description: 'Messages handed to sockets by each node. Stacked: the upper edge is the total.',
    unit: 'mps',
    stack: true,
    queries: [[rate('roomcast_messages_delivered_total', 'instance'), '{{instance}}']],
  }),
  graph({
    title: 'Fan-out ratio',
    description:
      'Messages out for each message in, over all chosen nodes: the mean number of members that a message reached.',
    unit: 'short',
    queries: [
      [`${rate('roomcast_messages_delivered_total')} / ${rate('roomcast_messages_accepted_total')}`, 'ratio'],
    ],
  }),
  graph({
    title: 'Bytes over WebSockets',
    description: 'Payload received from and handed to sockets. Excludes framing, TLS and TCP.',
    unit: 'Bps',
    queries: [
      [rate('roomcast_websocket_received_bytes_total'), 'received'],
      [rate('roomcast_websocket_sent_bytes_total'), 'sent'],
    ],
  }),
  graph({
    title: 'Commands by type',
    description: 'Well-formed commands from clients. Stacked.',
    unit: 'reqps',
    stack: true,
    queries: [[rate('roomcast_commands_received_total', 'type'), '{{type}}']],
  }),
];

const latency = [
  graph({
    title: 'Delivery latency',
    description:
      'From the moment a publishing node sent an envelope to its fan-out on the receiving node, once per envelope. Includes clock differences between machines.',
    unit: 's',
    queries: quantiles('roomcast_delivery_latency_seconds'),
  }),
  graph({
    title: 'Delivery latency by node, 99th percentile',
    description:
      'Delivery latency at each receiving node. A single node above the others: check its event loop and clock.',
    unit: 's',
    queries: [[quantile(0.99, 'roomcast_delivery_latency_seconds', 'instance'), '{{instance}}']],
  }),
  graph({
    title: 'Publish duration',
    description:
      'From accepting a message to the answer of the backplane, including failures: what a publisher waits for.',
    unit: 's',
    queries: quantiles('roomcast_publish_duration_seconds'),
  }),
  graph({
    title: 'Heartbeat round trip',
    description:
      'From a WebSocket ping to its pong: the network to the clients, their own slowness, and the event loop of the node.',
    unit: 's',
    queries: quantiles('roomcast_heartbeat_round_trip_seconds'),
  }),
  graph({
    title: 'Heartbeat round trip by node, median',
    description:
      'A single node above the others is busy or badly connected; if all rise, check the network to the clients.',
    unit: 's',
    queries: [[quantile(0.5, 'roomcast_heartbeat_round_trip_seconds', 'instance'), '{{instance}}']],
  }),
  graph({
    title: 'HTTP requests by route, 99th percentile',
    description: 'From the request line to the answer, for the routes in use.',
    unit: 's',
    queries: [[`${quantile(0.99, 'roomcast_http_request_duration_seconds', 'route')} >= 0`, '{{route}}']],
  }),
];

const health = [
  states({
    title: 'Readiness',
    description:
      'Whether a node is in service: its backplane works and it is not shutting down, as in /readyz.',
    words: ['ready', 'not ready'],
    queries: [[READY, '{{instance}}']],
  }),
  graph({
    title: 'Errors by code',
    description: 'Errors sent to clients, in frames and over HTTP.',
    unit: 'cps',
    bars: true,
    none: 'no errors',
    queries: [[`${rate('roomcast_errors_total', 'code')} > 0`, '{{code}}']],
  }),
  graph({
    title: 'Closes by code',
    description:
      'Connections that ended, by WebSocket close code. 1006: without a close frame, as when a network drops. 4008: too slow. 4010: silent for two heartbeats. 1012: moved to another node.',
    unit: 'cps',
    bars: true,
    none: 'no closes',
    queries: [[`${rate('roomcast_connections_closed_total', 'code')} > 0`, '{{code}}']],
  }),
  graph({
    title: 'Connections opened and closed',
    description:
      'If the lines stay apart, the number of connections grows or falls. Both high: clients reconnect repeatedly.',
    unit: 'cps',
    queries: [
      [rate('roomcast_connections_opened_total'), 'opened'],
      [rate('roomcast_connections_closed_total'), 'closed'],
    ],
  }),
  graph({
    title: 'Upgrades rejected',
    description:
      'WebSocket upgrades answered with an HTTP error, by reason. limit: the node is full. waiting: too many connections without a token. rate: acceptRate.perSecond.',
    unit: 'cps',
    bars: true,
    none: 'none rejected',
    queries: [[`${rate('roomcast_upgrades_rejected_total', 'reason')} > 0`, '{{reason}}']],
  }),
  graph({
    title: 'HTTP requests by status',
    description: 'Requests answered, by status class. Excludes WebSocket upgrades.',
    unit: 'reqps',
    bars: true,
    queries: [[`${rate('roomcast_http_requests_total', 'status')} > 0`, '{{status}}']],
  }),
  graph({
    title: 'Publishes by outcome',
    description:
      'Outcomes of accepted messages. duplicate: already stored under the same key. timeout: unknown whether it was stored.',
    unit: 'mps',
    bars: true,
    queries: [[`${rate('roomcast_publishes_settled_total', 'outcome')} > 0`, '{{outcome}}']],
  }),
  graph({
    title: 'Nodes by version',
    description:
      'Nodes that answer, by version. Two versions for longer than a roll-out takes: it has stopped halfway.',
    unit: 'short',
    stack: true,
    queries: [['count by (version) (roomcast_build_info)', '{{version}}']],
  }),
];

export const overview = dashboard({
  uid: 'roomcast-overview',
  title: 'Roomcast / Overview',
  description: 'Health and load at a glance. Node and Delivery have more detail.',
  sections: [
    ['Now', now],
    ['Traffic', traffic],
    ['Latency', latency],
    ['Health', health],
  ],
});
