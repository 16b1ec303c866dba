/** `roomcast/protocol`: the wire contract for authors of clients and tools. PROTOCOL.md describes it. */
export { decodeServerFrames, encodeCommand } from './client-codec.ts';
export { type EncodedFrames, jsonCodec, msgpackCodec, type ServerCodec, serverCodec } from './codec.ts';
export * from './codes.ts';
export { FrameError } from './frame-error.ts';
export * from './frames.ts';
export * from './limits.ts';
export {
  type BuiltMessage,
  buildMessageFrame,
  buildSignalFrame,
  decodeMessageFrames,
  decodeRun,
  type RunFrame,
  setFrameOffset,
  splitFrames,
} from './message-frame.ts';
export { packValue, unpackValue } from './msgpack/values.ts';
export { PackError } from './msgpack/writer.ts';
export { type ChosenSubprotocol, chooseSubprotocol, type Encoding, SUBPROTOCOL } from './subprotocol.ts';
