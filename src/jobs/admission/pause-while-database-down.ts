import type { Lease } from '../../ledger/lease.ts';
import type { Log } from '../../observe/log.ts';
import type { Admission } from './admission.ts';

/**
 * Pauses fetching while the lease's heartbeat does not reach the database, because the answers might be lost, and another
 * run may take over and use the same APIs.
 */
export function pauseWhileDatabaseDown(
  { contracts }: Pick<Admission, 'contracts'>,
  {
    lease,
    signal,
    log,
  }: { lease: Lease; /** Ends the pause, so that waiting contracts can end. */ signal: AbortSignal; log: Log },
): Disposable {
  lease.onContact = (reached) => {
    if (reached === !contracts.isPaused || signal.aborted) return;
    if (reached) {
      log.info('Postgres answers again; fetching resumes');
      contracts.start();
    } else {
      log.warn('Postgres does not answer; fetching is paused until it does');
      contracts.pause();
    }
  };
  signal.addEventListener('abort', () => contracts.start(), { once: true });
  return {
    [Symbol.dispose]() {
      lease.onContact = () => undefined;
    },
  };
}
