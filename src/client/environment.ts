/** What the client needs of the machine that it runs on. A test gives it another one: its clock, its sockets, its page. */
import { portableScheduler } from '../util/portable-scheduler.ts';
import type { Scheduler } from '../util/scheduler.ts';

/** The part of the standard WebSocket that the client uses. */
export interface WebSocketLike {
  binaryType: string;
  readonly bufferedAmount: number;
  onopen: (() => void) | null;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  onerror: ((event: unknown) => void) | null;
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null;
  send(message: string | Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
}

export type WebSocketConstructor = new (url: string, protocols: string) => WebSocketLike;

/**
 * `back`: the page is shown again, woke up, or is online again: try at once. `offline`: the browser says that the network is gone.
 */
export type PageChange = 'back' | 'offline';

/** What a page says about itself. */
export interface Page {
  readonly isHidden: boolean;
  /** Calls `changed` until the returned function is called, which leaves no listener behind. */
  watch(changed: (what: PageChange) => void): () => void;
}

export interface Environment {
  readonly scheduler: Omit<Scheduler, 'every'>;
  /** Rejects or throws where no socket can be made at all. */
  openSocket(url: string, protocol: string): WebSocketLike | Promise<WebSocketLike>;
  /** Null outside of browsers. */
  readonly page: Page | null;
}

/** The browser or Node. `given`: in place of the global WebSocket. `find`: where there is no global one. */
export function systemEnvironment(
  given: WebSocketConstructor | undefined,
  find: (() => Promise<WebSocketConstructor>) | undefined,
  scheduler: Environment['scheduler'] = portableScheduler,
): Environment {
  return {
    scheduler,
    openSocket(url, protocol) {
      const Socket = given ?? (globalThis.WebSocket as unknown as WebSocketConstructor | undefined);
      if (Socket !== undefined) return new Socket(url, protocol);
      if (find !== undefined) return find().then((Found) => new Found(url, protocol));
      throw new Error('there is no WebSocket here: pass one as options.WebSocket');
    },
    page: typeof document === 'undefined' ? null : browserPage(),
  };
}

/** `resume`, `pageshow`: a page that was frozen, or that the browser kept while the user was elsewhere. */
function browserPage(): Page {
  const isHidden = () => document.visibilityState === 'hidden';
  return {
    get isHidden() {
      return isHidden();
    },
    watch(changed) {
      const told = ({ type }: Event) => {
        if (type === 'offline') changed(type);
        else if (!isHidden()) changed('back');
      };
      const watched: [target: EventTarget, names: string[]][] = [
        [document, ['visibilitychange', 'resume']],
        [window, ['pageshow', 'online', 'offline']],
      ];
      const each = (method: 'addEventListener' | 'removeEventListener') => {
        for (const [target, names] of watched) for (const name of names) target[method](name, told);
      };
      each('addEventListener');
      return () => each('removeEventListener');
    },
  };
}
