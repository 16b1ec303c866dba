/** Bytes or text that are not frames of this protocol, where the caller expected frames. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
}
