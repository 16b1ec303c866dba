/** Components in a page, and clients on a broker in this process whose clock stands still until the test moves it. */
import { act, type ReactNode, StrictMode } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { RoomcastClient } from '../../../src/client/index.ts';
import type { ClientOptions } from '../../../src/client/options.ts';
import { RoomcastProvider } from '../../../src/client/react/index.ts';
import { startTestBroker, type TestBroker, type TestBrokerOptions } from '../../../src/testing/index.ts';

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });

export class ReactWorld {
  readonly broker: TestBroker;
  /** What clients told `onError`. */
  readonly errors: unknown[] = [];
  readonly clients: RoomcastClient[] = [];
  readonly #roots: Root[] = [];

  private constructor(broker: TestBroker) {
    this.broker = broker;
  }

  static async start(): Promise<ReactWorld> {
    const rooms: TestBrokerOptions['rooms'] = [
      { match: 'live:*', history: false },
      { match: '*', memberEvents: true },
    ];
    return new ReactWorld(await startTestBroker({ time: 'manual', rooms }));
  }

  client(options: ClientOptions = {}): RoomcastClient {
    const { WebSocket, clock, url } = this.broker;
    const onError = (error: unknown) => this.errors.push(error);
    const client = new RoomcastClient(url, {
      WebSocket,
      environment: { scheduler: clock },
      onError,
      ...options,
    });
    this.clients.push(client);
    return client;
  }

  async as(user: string): Promise<RoomcastClient> {
    return this.client({ token: await this.broker.token({ user }) });
  }

  /** Under StrictMode, as an application in development is. */
  async render(client: RoomcastClient, children: ReactNode): Promise<Page> {
    return this.renderBare(<RoomcastProvider client={client}>{children}</RoomcastProvider>);
  }

  async renderBare(children: ReactNode): Promise<Page> {
    const element = document.body.appendChild(document.createElement('div'));
    const root = createRoot(element);
    this.#roots.push(root);
    const render = (next: ReactNode) => this.during(() => root.render(<StrictMode>{next}</StrictMode>));
    await render(children);
    return {
      element,
      text: () => element.textContent ?? '',
      render,
      renderWith: (client, next) => render(<RoomcastProvider client={client}>{next}</RoomcastProvider>),
      unmount: () => this.during(() => root.unmount()),
    };
  }

  /** Does it, and waits until all that it set off has arrived and is shown. */
  async during(work: () => unknown = () => undefined): Promise<void> {
    await act(async () => {
      await work();
    });
    // What components did when they had mounted.
    await act(() => this.broker.settled());
  }

  publish(room: string, ...data: unknown[]): Promise<void> {
    return this.during(async () => {
      for (const one of data) await this.broker.publish(room, one);
    });
  }

  async stop(): Promise<void> {
    await act(async () => {
      for (const root of this.#roots) root.unmount();
    });
    for (const client of this.clients) client.close();
    await this.broker.stop();
  }
}

export interface Page {
  readonly element: HTMLElement;
  text(): string;
  render(children: ReactNode): Promise<void>;
  renderWith(client: RoomcastClient, children: ReactNode): Promise<void>;
  unmount(): Promise<void>;
}

/** Commands of these types that the client has sent, as their type, room and options. */
export function sent(client: RoomcastClient, ...types: string[]): unknown[][] {
  const frames = client.inspect().filter(({ direction }) => direction === 'sent');
  return frames
    .map(({ frame: [type, , ...rest] }) => [type, ...rest])
    .filter(([type]) => types.includes(type as string));
}
