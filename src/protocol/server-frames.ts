/** Checks once, for both encodings, what a client may rely on in a frame from a node. */
import { FrameError } from './frame-error.ts';
import type { ServerFrame } from './frames.ts';

type Field = (value: unknown) => boolean;

const text: Field = (value) => typeof value === 'string';
const integer: Field = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const textOrNull: Field = (value) => value === null || typeof value === 'string';
const map: Field = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const mapOrNone: Field = (value) => value === undefined || value === null || map(value);
const textOrNone: Field = (value) => value === undefined || textOrNull(value);
const present: Field = (value) => value !== undefined;

/** The fields after the type. More may follow. */
const SHAPES: Readonly<Record<ServerFrame[0], readonly Field[]>> = {
  hello: [map],
  ok: [integer, map],
  error: [integer, text, text, mapOrNone],
  message: [text, integer, integer, textOrNull, present],
  signal: [text, integer, textOrNull, present],
  member: [text, text, mapOrNone, integer],
  presence: [text, map],
  members: [text, map],
  gap: [text, integer, integer, textOrNone],
  reset: [text, text, integer],
  joined: [text, map],
  removed: [text, text],
  bye: [integer, map],
};

/**
 * Checks a decoded value against the shape of its frame type. Lets a type that this version does not know
 * through: it comes from a newer node, and the client skips it.
 *
 * @throws {FrameError} for anything that is not a frame.
 */
export function checkServerFrame(value: unknown): ServerFrame {
  if (!Array.isArray(value) || typeof value[0] !== 'string') throw new FrameError('not a frame');
  const type: string = value[0];
  const fields = Object.hasOwn(SHAPES, type) ? SHAPES[type as ServerFrame[0]] : [];
  for (let i = 0; i < fields.length; i++) {
    if (!fields[i]!(value[i + 1]))
      throw new FrameError(`element ${i + 1} of a "${type}" frame has the wrong type`);
  }
  return value as unknown as ServerFrame;
}
