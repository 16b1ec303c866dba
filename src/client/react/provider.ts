/** Which client the components below use. */
import {
  createContext,
  createElement,
  type FunctionComponentElement,
  type ProviderProps,
  type ReactNode,
  useCallback,
  useContext,
  useEffect,
  useRef,
  useState,
  useSyncExternalStore,
} from 'react';
import type { BaseClient } from '../client.ts';
import type { ClientStatus } from '../status.ts';

/** A `RoomcastClient` of any entry of the package. */
export type Client = BaseClient;

/** One of the two: `client` or `create`. */
export type RoomcastProviderProps = { readonly children?: ReactNode } & (
  | {
      /** A client that lives as long as you want: you close it. */
      readonly client: Client;
      readonly create?: never;
    }
  | {
      /** Makes the client of this provider, which closes it when it unmounts. Later functions are ignored. */
      readonly create: () => Client;
      readonly client?: never;
    }
);

const ClientContext = createContext<Client | null>(null);

/** Gives the components below it a client: one of yours, or one that it makes and closes. */
export function RoomcastProvider({ client, create, children }: RoomcastProviderProps): ReactNode {
  if (client !== undefined) return provide(client, children);
  return createElement(Owner, { create, children });
}

/** The client of the nearest `RoomcastProvider`, for what no hook does. */
export function useClient(): Client {
  const client = useContext(ClientContext);
  if (client === null) throw new Error('there is no <RoomcastProvider> above this component');
  return client;
}

/** What the client is doing: connected, waiting for the next attempt, closed. */
export function useStatus(): ClientStatus {
  const client = useClient();
  const subscribe = useCallback((changed: () => void) => client.onStatus(changed), [client]);
  const read = () => client.status;
  return useSyncExternalStore(subscribe, read, read);
}

function provide(
  client: Client,
  children: ReactNode,
): FunctionComponentElement<ProviderProps<Client | null>> {
  return createElement(ClientContext.Provider, { value: client }, children);
}

/**
 * Closes its client after the commit in which it unmounts, and not if it mounted again in it, as in StrictMode. One that mounts
 * again later, as in a hidden `<Activity>`, makes another client.
 */
function Owner({ create, children }: { create: () => Client; children?: ReactNode }): ReactNode {
  const [client, setClient] = useState(create);
  const latest = useRef(create);
  const owner = useRef({ isMounted: false, closed: null as Client | null });
  useEffect(() => {
    const own = owner.current;
    own.isMounted = true;
    if (own.closed === client) setClient(latest.current());
    return () => {
      own.isMounted = false;
      void Promise.resolve().then(() => {
        if (own.isMounted) return;
        own.closed = client;
        client.close();
      });
    };
  }, [client]);
  return provide(client, children);
}
