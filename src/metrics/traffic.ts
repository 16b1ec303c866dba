import { counter, type SampledMetric } from './sampled-metric.ts';

/** Traffic on the sockets, in WebSocket messages and bytes. */
export class TrafficStats {
  messagesReceived = 0;
  bytesReceived = 0;
  messagesRateLimited = 0;
  messagesSent = 0;
  bytesSent = 0;
}

export function trafficMetrics(stats: TrafficStats): SampledMetric[] {
  return [
    counter(
      'roomcast_websocket_messages_received_total',
      'WebSocket messages received; each carries one or more frames. Excludes control frames (ping, pong, close).',
      () => stats.messagesReceived,
    ),
    counter(
      'roomcast_websocket_received_bytes_total',
      'Payload bytes of the WebSocket messages received, without framing, TLS and TCP.',
      () => stats.bytesReceived,
    ),
    counter(
      'roomcast_websocket_messages_rate_limited_total',
      'WebSocket messages whose commands were all refused because the connection, or its user on this node, exceeded its bytes a second.',
      () => stats.messagesRateLimited,
    ),
    counter(
      'roomcast_websocket_messages_sent_total',
      'WebSocket messages, and runs of events, handed to sockets: one for each socket that a fan-out reaches. Excludes control frames; includes messages that the kernel then failed to send.',
      () => stats.messagesSent,
    ),
    counter(
      'roomcast_websocket_sent_bytes_total',
      'Payload bytes of the WebSocket messages and events handed to sockets, once per socket, without framing, TLS and TCP.',
      () => stats.bytesSent,
    ),
  ];
}
