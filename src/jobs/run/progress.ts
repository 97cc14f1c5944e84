import type { Clock } from '../../resilience/clock.ts';
import { EventLoopDelay } from '../../resilience/event-loop-delay.ts';
import { TaskMetrics } from '../../resilience/task-metrics.ts';

/** How far a run has come, for the progress display and the bounds. The report is computed from the ledger. */
export class Progress implements Disposable {
  readonly tally = newTally();
  readonly metrics: TaskMetrics;
  readonly eventLoop = new EventLoopDelay();
  readonly #onContract: () => void;

  constructor({ clock, onContract = () => undefined }: { clock: Clock; onContract?: (() => void) | undefined }) {
    this.metrics = new TaskMetrics({ clock });
    this.#onContract = onContract;
  }

  /** Call it when fetching a contract has ended. */
  contractEnded(): void {
    this.#onContract();
  }

  [Symbol.dispose](): void {
    this.eventLoop[Symbol.dispose]();
  }
}

/** Running figures. */
export interface Tally {
  phase: 'listing' | 'enriching' | 'second-chance' | 'closing';
  listed: number;
  /** The source's own count, once a page has given it. */
  sourceTotal: number | undefined;
  /** Pages of the listing so far. */
  pages: number;
  /** The listing was read to its end, so it neither failed nor was cut off. */
  listingDone: boolean;
  /** Contracts of chunks that have begun. */
  begun: number;
  enriched: number;
  degraded: number;
  failed: number;
  chunks: number;
  chunksLoaded: number;
  /** Bytes of the rows fetched, and of those not yet loaded. */
  fetchedBytes: number;
  bufferedBytes: number;
  listMs: number;
  enrichMs: number;
  loadMs: number;
  /** Loads of chunks into Postgres that have ended. */
  loads: number;
}

export function newTally(): Tally {
  return {
    phase: 'listing',
    listed: 0,
    sourceTotal: undefined,
    pages: 0,
    listingDone: false,
    begun: 0,
    enriched: 0,
    degraded: 0,
    failed: 0,
    chunks: 0,
    chunksLoaded: 0,
    fetchedBytes: 0,
    bufferedBytes: 0,
    listMs: 0,
    enrichMs: 0,
    loadMs: 0,
    loads: 0,
  };
}
