import type { NodeMetrics } from '../../metrics/node-metrics.ts';
import type { EncodedFrames, ServerCodec } from '../../protocol/codec.ts';
import { FrameError } from '../../protocol/frame-error.ts';

/**
 * A run of stored frames as a codec sends them, or null if the bytes from the backplane are not such frames:
 * foreign data in Redis must not stop the node. Counted as a malformed envelope. `epoch`: of their offsets.
 */
export function transcoded(
  frames: Uint8Array,
  codec: ServerCodec,
  epoch: string,
  metrics: NodeMetrics,
): EncodedFrames | null {
  try {
    return codec.messages(frames, epoch);
  } catch (error) {
    if (!(error instanceof FrameError)) throw error;
    metrics.backplane.malformedEnvelope();
    return null;
  }
}
