// Is everything well, and how much is going on: what to open first.
import { dashboard, graph, increase, number, quantile, quantiles, rate, states } from './panels.mjs';

const READY = 'roomcast_backplane_ready * (1 - roomcast_draining)';

const now = [
  number({
    title: 'Nodes in service',
    description:
      'Nodes whose backplane works and that do not shut down, as /readyz sees it. Nodes that cannot be scraped are not among them.',
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
      'Messages handed to sockets, each as often as members got it. What catches up is not among them.',
    unit: 'mps',
    queries: [[rate('roomcast_messages_delivered_total'), 'out']],
  }),
  number({
    title: 'Delivery, 99th percentile',
    description:
      'From the moment a publishing node sent an envelope to its fan-out on the receiving node: all but 1 % took less. Differences of the machines’ clocks are in it.',
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
      'Members, or whole rooms on a node, that were told within this interval that messages are lost to them. Anything but zero deserves a look at Delivery.',
    unit: 'short',
    queries: [[`${increase('roomcast_gaps_total')} + ${increase('roomcast_resets_total')}`, 'told']],
    steps: [[0.5, 'red']],
  }),
];

const traffic = [
  graph({
    title: 'Connections by node',
    description:
      'Stacked: the upper edge is the total. Nodes should be about even, but for a while after one came.',
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
    description: 'Payload received from and handed to sockets. Framing, TLS and TCP come on top.',
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
      'From the moment a publishing node sent an envelope to its fan-out on the receiving node, once an envelope. Differences of the machines’ clocks are in it.',
    unit: 's',
    queries: quantiles('roomcast_delivery_latency_seconds'),
  }),
  graph({
    title: 'Delivery latency by node, 99th percentile',
    description:
      'As delivery latency, at each receiving node. One node alone above the others: look at its event loop and its clock.',
    unit: 's',
    queries: [[quantile(0.99, 'roomcast_delivery_latency_seconds', 'instance'), '{{instance}}']],
  }),
  graph({
    title: 'Publish duration',
    description:
      'From accepting a message to the answer of the backplane, failures included: what a publisher waits for.',
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
      'One node alone above the others is busy or badly connected; all together: the way to the clients.',
    unit: 's',
    queries: [[quantile(0.5, 'roomcast_heartbeat_round_trip_seconds', 'instance'), '{{instance}}']],
  }),
  graph({
    title: 'HTTP requests by route, 99th percentile',
    description: 'From the request line to the answer, for the routes that were asked.',
    unit: 's',
    queries: [[`${quantile(0.99, 'roomcast_http_request_duration_seconds', 'route')} >= 0`, '{{route}}']],
  }),
];

const health = [
  states({
    title: 'Readiness',
    description:
      'Whether a node is in service: its backplane works and it does not shut down. As /readyz answers.',
    words: ['ready', 'not ready'],
    queries: [[READY, '{{instance}}']],
  }),
  graph({
    title: 'Errors by code',
    description: 'Errors answered to clients, in frames and over HTTP.',
    unit: 'cps',
    bars: true,
    none: 'no errors',
    queries: [[`${rate('roomcast_errors_total', 'code')} > 0`, '{{code}}']],
  }),
  graph({
    title: 'Closes by code',
    description:
      'Connections that ended, by WebSocket close code. 1006: without a close frame, as when a network drops. 4008: too slow. 4010: silent for two heartbeats. 1012: sent elsewhere.',
    unit: 'cps',
    bars: true,
    none: 'no closes',
    queries: [[`${rate('roomcast_connections_closed_total', 'code')} > 0`, '{{code}}']],
  }),
  graph({
    title: 'Connections opened and closed',
    description:
      'Apart for long: the number of connections grows or falls. Both high: clients reconnect over and over.',
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
    description: 'Requests answered, by class of status. WebSocket upgrades are not among them.',
    unit: 'reqps',
    bars: true,
    queries: [[`${rate('roomcast_http_requests_total', 'status')} > 0`, '{{status}}']],
  }),
  graph({
    title: 'Publishes by outcome',
    description:
      'What became of accepted messages. duplicate: stored before under the same key. timeout: unknown whether it was stored.',
    unit: 'mps',
    bars: true,
    queries: [[`${rate('roomcast_publishes_settled_total', 'outcome')} > 0`, '{{outcome}}']],
  }),
  graph({
    title: 'Nodes by version',
    description:
      'Nodes that answer, by what they run. Two versions for longer than a roll-out takes: it has stopped half-way.',
    unit: 'short',
    stack: true,
    queries: [['count by (version) (roomcast_build_info)', '{{version}}']],
  }),
];

export const overview = dashboard({
  uid: 'roomcast-overview',
  title: 'Roomcast / Overview',
  description: 'Is everything well, and how much is going on. Node and Delivery go deeper.',
  sections: [
    ['Now', now],
    ['Traffic', traffic],
    ['Latency', latency],
    ['Health', health],
  ],
});
