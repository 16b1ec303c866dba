const { setImmediate: soon } = globalThis;

/** Runs work in a task of the event loop of its own: within a promise, no other promise would run. */
export function inTask<T>(work: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    soon(() => {
      try {
        resolve(work());
      } catch (error) {
        reject(error);
      }
    });
  });
}
