/** What being part of a Redis Cluster changes for a server: it leaves commands to others, by the slots of their keys. */
import type { Refusal, Reply } from '../reply.ts';

/** The keys or channels that a command is about. */
export interface Use {
  readonly names: readonly string[];
  /** Of sharded pub/sub: a server keeps them until the slot is another's. */
  readonly areChannels: boolean;
}

export interface ClusterPart {
  /** Why the server leaves a command to others, or to nobody; null: it runs it. */
  refusal(use: Use): Refusal | null;
  /** The same for what a script calls, in the words that scripts get. */
  scriptRefusal(use: Use): string | null;
  /** CLUSTER and MIGRATE. */
  run(name: string, args: readonly string[]): Reply;
  /** The other servers of the shard hear what is published in it. */
  published(channel: string, payload: string): void;
  /** For INFO. */
  readonly info: Readonly<Record<string, string | number>>;
}

/** Commands about no key. */
const ABOUT_NONE = [
  ...['ping', 'info', 'script', 'select', 'client', 'cluster', 'time', 'publish', 'pubsub', 'quit'],
  ...['subscribe', 'unsubscribe', 'migrate'],
];
const ABOUT_ALL = ['del', 'exists'];
const ABOUT_CHANNELS = ['ssubscribe', 'sunsubscribe', 'spublish'];

export function useOf(name: string, args: readonly string[]): Use {
  const areChannels = ABOUT_CHANNELS.includes(name);
  return { names: namesOf(name, args), areChannels };
}

function namesOf(name: string, args: readonly string[]): readonly string[] {
  if (ABOUT_NONE.includes(name)) return [];
  if (name === 'evalsha') return args.slice(2, 2 + Number(args[1]));
  if (name === 'memory') return args.slice(1, 2);
  if (ABOUT_ALL.includes(name) || name === 'ssubscribe' || name === 'sunsubscribe') return args;
  return args.slice(0, 1);
}
