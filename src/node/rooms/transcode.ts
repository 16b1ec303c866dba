import type { NodeMetrics } from '../../metrics/node-metrics.ts';
import { FrameError } from '../../protocol/frame-error.ts';
import { transcodeMessages } from '../../protocol/json/codec.ts';

/**
 * A run of `message` frames as JSON text, or null if the bytes from the backplane are not such frames:
 * foreign data in Redis must not stop the node. Counted as a malformed envelope.
 */
export function transcode(frames: Uint8Array, metrics: NodeMetrics): string | null {
  try {
    return transcodeMessages(frames);
  } catch (error) {
    if (!(error instanceof FrameError)) throw error;
    metrics.backplane.malformedEnvelope();
    return null;
  }
}
