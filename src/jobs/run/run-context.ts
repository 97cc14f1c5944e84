import type PQueue from 'p-queue';
import type { Clock } from '../../resilience/clock.ts';
import type { EventLoopDelay } from '../../resilience/event-loop-delay.ts';
import type { TaskMetrics } from '../../resilience/task-metrics.ts';
import type { Database } from '../../sinks/postgres/postgres.ts';
import type { TargetTable } from '../../sinks/target/target-table.ts';
import type { Api } from '../../sources/api/api.ts';
import type { Log } from '../../observe/log.ts';
import type { Admission } from '../admission/admission.ts';
import type { BatchedLookup } from '../enrich/batched-lookup.ts';
import type { Job } from '../job.ts';
import type { KeptQuotas } from '../shared-quotas.ts';
import type { FailedAlone } from '../enrich/repeated-failure.ts';
import type { SharedLookups } from '../enrich/shared-lookups.ts';
import type { RowTransform } from '../enrich/transform.ts';

/** Everything a run's parts share. */
export interface RunContext {
  job: Job;
  businessDate: string;
  instance: string;
  run: string;
  /** The lease's token: fences every commit. */
  token: string;
  dryRun: boolean;
  database: Database;
  target: TargetTable;
  apis: ReadonlyMap<string, Api>;
  quotas: KeptQuotas;
  shared: SharedLookups;
  /** By lookup, those that are asked in batches. */
  batched: ReadonlyMap<string, BatchedLookup>;
  /** The job's own module, when it has one. */
  transform: RowTransform | undefined;
  /** Which chunks can still end before the deadline. */
  admission: Admission;
  /** How many contracts are worked on at once, across chunks, the earliest first; more while APIs rest. */
  contracts: PQueue;
  workers: number;
  /** How many chunks load at once. */
  loads: PQueue;
  log: Log;
  clock: Clock;
  /** Milliseconds for which a database that went away is waited for. */
  databaseWaitMs: number;
  /** Aborts everything: a lost lease, a second signal, a broken runner. */
  signal: AbortSignal;
  /** Aborts the admission of chunks that have not begun. */
  stopping: AbortSignal;
  /** Bounds of every request: the signal and, where there is one, the deadline on the monotonic clock, which may move. */
  bounds: { signal: AbortSignal; deadline?: number };
  /** How often a request of a lookup may be made; absent where the API's `retry` says. */
  attempts?: number;
  /** Contracts that failed while their API answered others. */
  failedAlone: FailedAlone;
  /** When the run must have ended; null without a deadline. */
  finishBy: Date | null;
  /** `lastChunk`: the plan's highest number; `cut`: numbers of chunks cut from others; `worked`: of those worked on. */
  plan: { lastChunk: number; cut: number[]; worked: Set<number> };
  tally: Tally;
  metrics: TaskMetrics;
  eventLoop: EventLoopDelay;
  /** Called as each contract's fetching ends. */
  onContract: () => void;
}

/** What enriching one contract needs. */
export type EnrichContext = Pick<
  RunContext,
  | 'job'
  | 'businessDate'
  | 'database'
  | 'target'
  | 'apis'
  | 'shared'
  | 'batched'
  | 'transform'
  | 'metrics'
  | 'signal'
  | 'clock'
  | 'log'
  | 'databaseWaitMs'
  | 'bounds'
  | 'attempts'
  | 'failedAlone'
>;

/** Running figures for the progress display and for the bounds; the report is computed from the ledger. */
export interface Tally {
  phase: 'listing' | 'enriching' | 'second-chance' | 'closing';
  listed: number;
  /** The source's own count, once a page has told it. */
  sourceTotal: number | undefined;
  /** Pages of the listing so far. */
  pages: number;
  /** The listing came to its end; not so when it failed or was cut off. */
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
  /** Chunks that went to Postgres. */
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
