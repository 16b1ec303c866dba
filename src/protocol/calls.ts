/**
 * How often the codecs ran in this process: plain numbers, so that a test can show that a node which only relays a
 * message neither decodes nor encodes it. Nothing resets them: read before and after.
 */
export const codecCalls = {
  /** WebSocket messages from clients that were decoded into commands. */
  decodeCommands: 0,
  /** Replies and pushes that were encoded, `message` frames built by `buildMessageFrame` not among them. */
  encode: 0,
  /** `message` frames that were built: once for each accepted publish, on the node that accepts it. */
  buildMessage: 0,
  /** Runs of `message` frames that were decoded into JavaScript values, those for `transcode` among them. */
  decodeMessage: 0,
  /** Runs of `message` frames that were turned into JSON text. */
  transcode: 0,
};
