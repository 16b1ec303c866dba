/**
 * Puts a simulated world in place of the time, timers, chance and network of the process, for code that asks the process for them:
 * `util/scheduler.ts`, and ioredis.
 */
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';
import timersPromises from 'node:timers/promises';
import { randomId } from '../../../src/util/ids.ts';
import type { Random } from '../../support/random.ts';
import type { Loop, Task } from './loop.ts';

/** What `setTimeout` returns, as far as anybody uses it. */
class SimulatedTimer {
  task: Task | null = null;
  cancel: (() => void) | null = null;

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  hasRef(): boolean {
    return true;
  }
}

type Work = (...args: unknown[]) => void;

/** Returns what puts everything back. */
export function replaceGlobals(loop: Loop, random: Random, connect: (host: string) => unknown): () => void {
  const RealDate = Date;
  class SimulatedDate extends RealDate {
    constructor(...given: [] | [number]) {
      super(...((given.length === 0 ? [loop.wallMs] : given) as [number]));
    }

    static override now(): number {
      return Math.floor(loop.wallMs);
    }
  }
  const clear = (timer: SimulatedTimer | null | undefined) => {
    if (timer?.task) loop.cancel(timer.task);
    timer?.cancel?.();
  };
  const undo = [
    replace(globalThis, 'setTimeout', (work: Work, delayMs = 1, ...args: unknown[]) =>
      timeout(loop, () => work(...args), delayMs),
    ),
    replace(globalThis, 'setInterval', (work: Work, everyMs = 1) => interval(loop, work, everyMs)),
    replace(globalThis, 'setImmediate', (work: Work, ...args: unknown[]) => {
      const timer = new SimulatedTimer();
      timer.task = loop.atEndOfTurn(() => work(...args));
      return timer;
    }),
    replace(globalThis, 'clearTimeout', clear),
    replace(globalThis, 'clearInterval', clear),
    replace(globalThis, 'clearImmediate', clear),
    replace(globalThis, 'Date', SimulatedDate),
    replace(performance, 'now', () => loop.nowMs),
    replace(Math, 'random', random.next),
    replace(crypto, 'getRandomValues', (bytes: Uint8Array) => {
      for (let i = 0; i < bytes.length; i++) bytes[i] = Math.floor(random.next() * 256);
      return bytes;
    }),
    replace(AbortSignal, 'timeout', (delayMs: number) => {
      const controller = new AbortController();
      timeout(loop, () => controller.abort(new DOMException('timed out', 'TimeoutError')), delayMs);
      return controller.signal;
    }),
    replace(net, 'createConnection', ({ host }: { host: string }) => connect(host)),
    replace(
      timersPromises,
      'setTimeout',
      (delayMs: number, value: unknown, { signal }: { signal?: AbortSignal } = {}) =>
        sleep(loop, delayMs, value, signal),
    ),
  ];
  syncBuiltinESMExports();
  drainIds(random);
  return () => {
    for (const one of undo) one();
    syncBuiltinESMExports();
  };
}

function replace(target: object, name: string, value: unknown): () => void {
  const before = Object.getOwnPropertyDescriptor(target, name);
  Object.defineProperty(target, name, { value, configurable: true, writable: true });
  return () => {
    if (before === undefined) Reflect.deleteProperty(target, name);
    else Object.defineProperty(target, name, before);
  };
}

function timeout(loop: Loop, work: () => void, delayMs: number): SimulatedTimer {
  const timer = new SimulatedTimer();
  timer.task = loop.after(Math.max(1, delayMs), work);
  timer.task.isTimer = true;
  return timer;
}

function interval(loop: Loop, work: () => void, everyMs: number): SimulatedTimer {
  const timer = new SimulatedTimer();
  const { current } = loop;
  const next = () => {
    timer.task = loop.after(
      Math.max(1, everyMs),
      () => {
        next();
        work();
      },
      current,
    );
    timer.task.isTimer = true;
    timer.task.isRepeated = true;
  };
  next();
  return timer;
}

function sleep(loop: Loop, delayMs: number, value: unknown, signal?: AbortSignal): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      loop.cancel(task);
      reject(signal?.reason);
    };
    const task = loop.after(delayMs, () => {
      // As Node does: who sleeps again and again on one signal leaves nothing there.
      signal?.removeEventListener('abort', abort);
      resolve(value);
    });
    signal?.addEventListener('abort', abort, { once: true });
  });
}

/** Ids are cut from bytes that were drawn before: uses up those of the run before. */
function drainIds(random: Random): void {
  const { next } = random;
  let isFresh = false;
  Object.assign(random, {
    next: () => {
      isFresh = true;
      return next();
    },
  });
  while (!isFresh) randomId(1);
  Object.assign(random, { next });
}
