/** For continuous integration: a run that skipped a test has failed, since nobody would notice what is no longer tested. */
import type { Reporter, TestModule } from 'vitest/node';

export default class NoSkips implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const skipped = modules.flatMap(skippedIn);
    if (skipped.length === 0) return;
    console.error(`\n${skipped.length} skipped tests fail the run (CI=true):\n  ${skipped.join('\n  ')}\n`);
    process.exitCode = 1;
  }
}

function skippedIn({ children, relativeModuleId }: TestModule): string[] {
  const skipped = [...children.allTests('skipped')];
  return skipped.map(({ fullName }) => `${relativeModuleId}: ${fullName}`);
}
