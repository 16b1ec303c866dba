/** Reads an event stream whose data is frames. */

export interface StreamEvent {
  readonly frame: readonly unknown[];
  /** The position that the reader has reached with it. */
  readonly id: string | null;
}

/** Null: nothing but a sign of life. */
export async function* readStream(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamEvent | null> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (rest + decoder.decode(value, { stream: true })).split('\n\n');
      rest = blocks.pop()!;
      for (const block of blocks) yield eventOf(block);
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

function eventOf(block: string): StreamEvent | null {
  const data = /^data: ?(.*)$/m.exec(block)?.[1];
  if (data === undefined) return null;
  return { frame: JSON.parse(data) as unknown[], id: /^id: ?(.*)$/m.exec(block)?.[1] ?? null };
}
