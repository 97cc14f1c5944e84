import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/**
 * Two semi-spaces of 8 MiB, from which on it may not grow; two collections close together may double it once more. V8's own
 * limit is 64 MiB each, which a run's answers would fill.
 */
const enoughBytes = 2 * 8 * 2 ** 20;

/**
 * Keeps V8's young generation at 16 to 32 MiB for as long as it is held, which takes about 80 MB off the peak of a night
 * (bench/memory.ts). `--max-semi-space-size` works only on Node's own command line; but V8
 * reads the growth factor of the young generation at each growth, so it is set to 1 once the generation is large enough.
 * A user who sets that flag, for example in NODE_OPTIONS, keeps that limit.
 */
export function boundYoungGeneration(environment: NodeJS.ProcessEnv = process.env): Disposable {
  const given = [...process.execArgv, environment['NODE_OPTIONS'] ?? ''].join(' ');
  if (/--(?:min|max)[-_]semi[-_]space[-_]size/.test(given)) return { [Symbol.dispose]: () => undefined };
  let mayGrow = true;
  const grow = (may: boolean): void => {
    if (may !== mayGrow) setFlagsFromString(`--semi-space-growth-factor=${may ? 2 : 1}`);
    mayGrow = may;
  };
  const look = (): void => grow(youngBytes() < enoughBytes);
  const observer = new PerformanceObserver(look);
  observer.observe({ entryTypes: ['gc'] });
  look();
  return {
    [Symbol.dispose]() {
      observer.disconnect();
      grow(true);
    },
  };
}

/** Bytes of the young generation now; it shrinks when the program is idle. */
export const youngBytes = (): number =>
  getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')?.space_size ?? 0;
