import type { Lease } from '../../ledger/lease.ts';
import type { RunContext } from './run-context.ts';

/**
 * While the heartbeat does not get through nothing more is fetched: it might not be kept, and after a while another run
 * may be asking the same APIs. Connections that might never answer are closed when the run is over for that.
 */
export function restWhileAway({ contracts, signal, database, log }: RunContext, lease: Lease): Disposable {
  lease.onContact = (reached) => {
    if (reached === !contracts.isPaused || signal.aborted) return;
    if (reached) {
      log.info('Postgres answers again; fetching goes on');
      contracts.start();
    } else {
      log.warn('Postgres does not answer; fetching rests until it does');
      contracts.pause();
    }
  };
  // What rests has to end as well.
  signal.addEventListener('abort', () => contracts.start(), { once: true });
  const cut = (): void => database.cut();
  lease.lost.addEventListener('abort', cut, { once: true });
  return {
    [Symbol.dispose]() {
      lease.onContact = () => undefined;
      lease.lost.removeEventListener('abort', cut);
    },
  };
}
