import type { RunContext } from '../run/run-context.ts';

/** Milliseconds between looks. */
const lookEvery = 100;
/** Contracts that may be begun beyond the workers while APIs rest. */
const most = 5_000;

/**
 * Contracts that wait for an API that rests take no worker's place: others are begun meanwhile, so that the other APIs'
 * work goes on. Memory bounds how many there are, as ever.
 */
export function workWhileResting({
  contracts,
  workers,
  apis,
}: Pick<RunContext, 'contracts' | 'workers' | 'apis'>): Disposable {
  const look = (): void => {
    const resting = [...apis.values()].reduce((sum, api) => sum + api.resting, 0);
    const concurrency = workers + Math.min(most, resting);
    if (contracts.concurrency !== concurrency) contracts.concurrency = concurrency;
  };
  const timer = setInterval(look, lookEvery).unref();
  return {
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
