import type { HttpRouteLabel } from '../../metrics/labels.ts';
import type { HttpRequest } from '../uws.ts';
import type { Exchange } from './exchange.ts';

export type Handler = (exchange: Exchange, req: HttpRequest) => void | Promise<void>;
/** As uWebSockets.js calls them: `del` is DELETE. */
export type Method = 'get' | 'post' | 'del' | 'options';

export interface Route {
  readonly method: Method;
  readonly path: string;
  readonly label: HttpRouteLabel;
  readonly handle: Handler;
}
