import { globSync } from 'node:fs';
import path from 'node:path';
import { describe } from 'node:test';
import { pathToFileURL } from 'node:url';

const tests = path.join(import.meta.dirname, '..');

/**
 * Runs the test files that match a pattern (below test/) in this process: so many at a time, and the tests of each as
 * they would run in a process of their own, which costs a file about a second of CPU for loading and compiling. Files
 * that measure their process or the clock are named `….alone.test.ts` and have a process each.
 */
export function runTestFiles(patterns: readonly string[], { concurrency }: { concurrency: number }): void {
  const files = patterns.flatMap((pattern) => globSync(pattern, { cwd: tests }).toSorted());
  describe('test files', { concurrency }, () => {
    for (const file of files.filter((name) => !name.endsWith('.alone.test.ts')))
      describe(file, { concurrency: 1 }, async () => {
        await import(pathToFileURL(path.join(tests, file)).href);
      });
  });
}
