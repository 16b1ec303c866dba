import type { Scope } from '../../config/groups/api-keys.ts';

export interface CreateOptions {
  readonly name: string;
  readonly scope?: readonly Scope[];
  readonly room?: readonly string[];
  readonly json?: boolean;
}
