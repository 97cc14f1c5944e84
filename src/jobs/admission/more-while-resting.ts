import type { Api } from '../../sources/api/api.ts';
import type { Admission } from './admission.ts';

/** How often the number is adjusted, in milliseconds. */
const lookEvery = 100;
/** Most contracts beyond the workers that may begin while APIs rest. */
const most = 5_000;

/**
 * Admits one more contract for each that waits for a resting API, so that the other APIs have work meanwhile, within the
 * memory limit.
 */
export function admitMoreWhileResting(
  { contracts, workers }: Pick<Admission, 'contracts' | 'workers'>,
  apis: ReadonlyMap<string, Pick<Api, 'resting'>>,
): Disposable {
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
