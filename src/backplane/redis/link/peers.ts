/** The other nodes, as this one last saw their leases. */
export interface Peers {
  /** Those that live. */
  readonly nodes: readonly string[];
  /** When one of them was found gone, by this node's clock; -Infinity for never. */
  readonly departedAtMs: number;
}
