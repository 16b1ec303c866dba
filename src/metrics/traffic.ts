import { counter, type SampledMetric } from './sampled-metric.ts';

/** What goes over the sockets, in WebSocket messages and their bytes. */
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
      'WebSocket messages received; each carries one or more frames. Control frames (ping, pong, close) are not counted.',
      () => stats.messagesReceived,
    ),
    counter(
      'roomcast_websocket_received_bytes_total',
      'Payload bytes of the WebSocket messages received. Framing, TLS and TCP are not counted.',
      () => stats.bytesReceived,
    ),
    counter(
      'roomcast_websocket_messages_rate_limited_total',
      'WebSocket messages whose commands were all refused because the connection, or its user on this node, was over its bytes a second.',
      () => stats.messagesRateLimited,
    ),
    counter(
      'roomcast_websocket_messages_sent_total',
      'WebSocket messages handed to sockets: one for each socket that a fan-out reaches. Control frames are not counted; what the kernel then failed to send is.',
      () => stats.messagesSent,
    ),
    counter(
      'roomcast_websocket_sent_bytes_total',
      'Payload bytes of the WebSocket messages handed to sockets, once for each socket. Framing, TLS and TCP are not counted.',
      () => stats.bytesSent,
    ),
  ];
}
