import type { UpgradeRefusalLabel } from '../metrics/labels.ts';
import type { ErrorCode } from '../protocol/codes.ts';

/** How a refused token is counted among upgrades and event streams that were refused. */
export function refusalLabel(code: ErrorCode): UpgradeRefusalLabel {
  if (code === 'rate_limited') return 'token_checks';
  return code === 'unavailable' || code === 'internal' ? 'unavailable' : 'unauthorized';
}
