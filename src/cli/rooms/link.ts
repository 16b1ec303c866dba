/** The connection of a command: the client library, with what a terminal wants to know of it. */
import { WebSocket } from 'ws';
import {
  type ClientStatus,
  type InspectedFrame,
  RoomcastClient,
  type WebSocketConstructor,
} from '../../client/node.ts';
import { CLIENT_VARIABLES, variable } from '../../config/environment.ts';
import { CLOSE } from '../../protocol/codes.ts';
import { sentenceOf } from '../../util/error-words.ts';
import { EXIT } from '../exit-codes.ts';
import type { Io } from '../io.ts';
import { withoutSecrets } from '../logger.ts';
import { nodeUrlsIn } from '../node-urls.ts';
import { withRemedy } from '../remedy.ts';
import { readToken } from '../token-file.ts';
import type { Ending } from './ending.ts';
import type { LinkOptions } from './options.ts';
import { answerOf } from './refused-upgrade.ts';
import { Waits } from './waits.ts';

export interface LinkSettings {
  /** Whether the command waits however long the connection stays lost, or the node refuses what it asks for. */
  readonly patient: boolean;
  /** Told what answers no request, such as the refusal of a signal. Default: it is printed. */
  readonly onError?: (error: unknown) => void;
}

/** One message may be as large as nodes let it be; what waits is bounded by those who publish. */
const QUEUE = { messages: 10_000, bytes: 1024 ** 3 };
/** Close codes for those who may not be here: 4501, 4503 and 4505. Null: the token cannot be had, or has expired. */
const REFUSALS: readonly (number | null)[] = [4501, 4503, 4505, null];

export interface OpenLink {
  readonly client: RoomcastClient;
  readonly waits: Waits;
}

const TOKEN_WANTED = `this node wants a token: set ${CLIENT_VARIABLES.token}, or give --token-file`;

/** A client that ends the command when it cannot go on. Throws, with a sentence, where the options are wrong. */
export function openLink(io: Io, options: LinkOptions, ending: Ending, settings: LinkSettings): OpenLink {
  const urls = options.url ?? nodeUrlsIn(io.env);
  const watch = new Watch(io, options, ending, settings);
  const client = new RoomcastClient(urls, {
    ...tokenOf(io, options),
    queue: QUEUE,
    WebSocket: watch.WebSocket,
    onError: settings.onError ?? ((error) => watch.say(sentenceOf(error))),
    debug: (frame) => watch.saw(frame),
  });
  watch.begin(client);
  return { client, waits: watch.waits };
}

/** A file is read each time, so that it can be replaced while the command runs. Throws where it cannot be read now. */
function tokenOf({ env }: Io, { token, tokenFile }: LinkOptions): object {
  if (tokenFile !== undefined) {
    const getToken = () => readToken(tokenFile);
    getToken();
    return { getToken };
  }
  const given = token ?? variable(env, CLIENT_VARIABLES.token)?.trim();
  return given === undefined ? {} : { token: given };
}

/** Watches the status: says what happens, and ends the command where it cannot go on. */
class Watch {
  /** Notes why a socket failed: the WebSocket of browsers, which the client library expects, does not tell. */
  readonly WebSocket: WebSocketConstructor;
  readonly waits: Waits;
  readonly #io: Io;
  readonly #options: LinkOptions;
  readonly #ending: Ending;
  readonly #settings: LinkSettings;
  #failure: string | null = null;
  /** A WebSocket opened, whatever became of it. */
  #isOpen = false;
  #reason: string | null = null;
  #deadline: NodeJS.Timeout | null = null;
  #patience: NodeJS.Timeout | undefined;

  constructor(io: Io, options: LinkOptions, ending: Ending, settings: LinkSettings) {
    this.#io = io;
    this.#options = options;
    this.#ending = ending;
    this.#settings = settings;
    this.waits = new Waits({ begun: (reason) => this.#refused(reason), ended: () => this.#accepted() });
    const failed = (reason: string) => {
      this.#failure ??= reason;
    };
    const opened = () => {
      this.#isOpen = true;
    };
    this.WebSocket = class extends WebSocket {
      constructor(url: string, protocol: string) {
        super(url, protocol, { perMessageDeflate: false });
        this.on('open', opened);
        this.on('error', (error) => failed(withRemedy(sentenceOf(error), url)));
        this.on('unexpected-response', (_, response) => {
          void answerOf(response).then((answer) => {
            failed(answer);
            this.terminate();
          });
        });
      }
    } as unknown as WebSocketConstructor;
  }

  begin(client: RoomcastClient): void {
    this.#expectConnection();
    client.onStatus((status) => this.#changed(status));
  }

  saw({ direction, frame }: InspectedFrame): void {
    this.waits[direction](frame);
  }

  say(line: string): void {
    if (this.#options.quiet !== true) this.#io.stderr(`${withoutSecrets(line)}\n`);
  }

  #changed(status: ClientStatus): void {
    if (this.#ending.isReached) return;
    switch (status.state) {
      case 'waiting':
        return this.#lost(this.#failure ?? status.reason);
      case 'connected':
        return this.#connected();
      case 'closed': {
        const exitCode = REFUSALS.includes(status.code) ? EXIT.refused : EXIT.failed;
        return this.#ending.end(exitCode, withoutSecrets(status.reason + this.#remedyFor(status.code)));
      }
      default:
        this.#failure = null;
    }
  }

  #remedyFor(code: number | null): string {
    if (code === CLOSE.revoked.code) {
      return '; another token may be accepted, and roomcast revoke --list tells the operator what is revoked';
    }
    return code === CLOSE.unauthorized.code && !this.#hasToken ? `; ${TOKEN_WANTED}` : '';
  }

  /** Nothing failed, and nothing came. */
  get #silence(): string {
    return this.#isOpen && !this.#hasToken ? TOKEN_WANTED : 'no node answered';
  }

  get #hasToken(): boolean {
    const { token, tokenFile } = this.#options;
    return (token ?? tokenFile ?? variable(this.#io.env, CLIENT_VARIABLES.token)) !== null;
  }

  #connected(): void {
    clearTimeout(this.#deadline ?? undefined);
    this.#deadline = null;
    if (this.#reason !== null) this.say('connected');
    this.#reason = null;
    this.#failure = null;
  }

  #lost(reason: string): void {
    // Each attempt fails for the same reason: once is enough.
    if (reason !== this.#reason) this.say(`no connection: ${reason}; trying again`);
    const isFirst = this.#reason === null;
    this.#reason = reason;
    if (isFirst && !this.#settings.patient) this.#expectConnection();
  }

  #refused(reason: string): void {
    this.say(`${reason}; trying again`);
    const { connectTimeout } = this.#options;
    if (connectTimeout === 0 || this.#settings.patient) return;
    this.#patience = this.#ending.after(connectTimeout, () => {
      this.#ending.end(
        EXIT.unavailable,
        withoutSecrets(`gave up after ${connectTimeout} s: ${this.waits.reason}`),
      );
    });
  }

  #accepted(): void {
    clearTimeout(this.#patience);
    this.say('it works again');
  }

  #expectConnection(): void {
    const { connectTimeout } = this.#options;
    if (connectTimeout === 0 || this.#deadline !== null) return;
    this.#deadline = this.#ending.after(connectTimeout, () => {
      const why = withoutSecrets(this.#reason ?? this.#silence);
      this.#ending.end(EXIT.unavailable, `gave up after ${connectTimeout} s without a connection: ${why}`);
    });
  }
}
