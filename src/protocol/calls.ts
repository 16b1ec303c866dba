/**
 * How often the codecs ran in this process: plain numbers, so that a test can show that a node which only
 * relays a message neither decodes nor encodes it. Nothing resets them: read before and after.
 */
export const codecCalls = {
  /** WebSocket messages from clients that were decoded into commands. */
  decodeCommands: 0,
  /** Replies and pushes that were encoded, without `message` frames built by `buildMessageFrame`. */
  encode: 0,
  /** `message` frames that were built: once for each accepted publish, on the node that accepts it. */
  buildMessage: 0,
  /** Runs of `message` frames decoded into JavaScript values, including those for `transcode`. */
  decodeMessage: 0,
  /** Runs of `message` frames turned into JSON text. */
  transcode: 0,
};
