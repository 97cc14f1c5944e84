import PQueue from 'p-queue';
import type { PlannedChunk } from '../../ledger/planned-contract.ts';
import type { KeptQuotas } from '../shared-quotas.ts';
import type { Clock } from '../../resilience/clock.ts';
import type { Api } from '../../sources/api/api.ts';
import type { RequestBounds } from '../enrich/lookups.ts';
import { spareMs } from '../forecast/forecast.ts';
import type { Job } from '../job.ts';
import type { Tally } from '../run/progress.ts';
import type { StopReason } from '../run/stop-reason.ts';
import { DeadlineGate, type DeadlineContext } from './deadline-gate.ts';
import { QuotaGate } from './quota-gate.ts';

/** Most contracts, and bytes of rows, that may be open: begun and not yet loaded into Postgres. */
const mostOpenContracts = 20_000;
const mostOpenBytes = 64 * 2 ** 20;

export interface AdmissionOptions extends Pick<DeadlineContext, 'businessDate' | 'finishBy' | 'clock' | 'switchOver'> {
  job: Job;
  apis: ReadonlyMap<string, Api>;
  quotas: KeptQuotas;
  tally: Tally;
}

/** Decides which chunk may start: by the queues of contracts and loads, the deadline, the quotas and memory. */
export class Admission {
  /** Contracts that are worked on at once, across chunks, the earliest first; more while APIs rest. */
  readonly contracts: PQueue;
  /** Chunks that load at once. */
  readonly loads = new PQueue({ concurrency: 2 });
  /** Contracts worked on at once while no API rests. */
  readonly workers: number;
  readonly deadline: DeadlineGate;
  /** When the run must have ended; null without a deadline. */
  readonly finishBy: Date | null;
  /** Monotonic; undefined without a deadline. */
  readonly #requestsEnd: number | undefined;
  readonly #quota: QuotaGate;
  readonly #quotas: KeptQuotas;
  readonly #job: Job;
  readonly #tally: Tally;

  constructor(o: AdmissionOptions) {
    this.workers = contractsAtOnce(o.job);
    this.contracts = new PQueue({ concurrency: this.workers });
    const deadlines = o.finishBy ? deadlinesFor(o.finishBy, o.clock) : undefined;
    this.deadline = new DeadlineGate({
      ...o,
      deadline: deadlines?.forecast,
      contracts: this.contracts,
      loads: this.loads,
    });
    this.#requestsEnd = deadlines?.requests;
    this.finishBy = o.finishBy;
    this.#quota = new QuotaGate({ job: o.job, apis: o.apis, contracts: this.contracts });
    this.#quotas = o.quotas;
    this.#job = o.job;
    this.#tally = o.tally;
  }

  /** Bounds of every request. */
  requestBounds(signal: AbortSignal): RequestBounds {
    return this.#requestsEnd === undefined ? { signal } : this.deadline.boundsUntil(this.#requestsEnd, signal);
  }

  /** Whether memory allows another chunk, estimated from the rows so far. Always true until the workers have enough to do. */
  hasRoom(openChunks: number): boolean {
    const { size } = this.#job.chunk;
    const open = openChunks * size;
    if (open < 2 * this.workers) return true;
    const { enriched, degraded, failed, bufferedBytes, fetchedBytes } = this.#tally;
    const done = enriched + degraded + failed;
    if (done === 0 || open >= mostOpenContracts) return false;
    const bytesPerContract = Math.max(bufferedBytes / open, fetchedBytes / done);
    return (open + size) * bytesPerContract < mostOpenBytes;
  }

  /** Reads how much of the quotas other runs have used, and adds this run's use. */
  async shareQuotas(): Promise<void> {
    await this.#quotas.share();
  }

  /** Whether the quotas, as last shared, allow the chunk in addition to `open` contracts that have begun. */
  quotaAllows({ contracts }: PlannedChunk, { open }: { open: number }): boolean {
    return this.#quota.allows(contracts.length, { open });
  }

  /** Why the quotas do not allow the chunk even when nothing else is open. */
  quotaReason({ contracts }: PlannedChunk): StopReason {
    return this.#quota.reason(contracts.length);
  }

  /** Resolves when no contract is worked on and no chunk loads. */
  async idle(): Promise<void> {
    await Promise.all([this.contracts.onIdle(), this.loads.onIdle()]);
  }
}

/** Twice the allowed requests in flight, so that slots stay in use while other contracts wait to repeat a request. */
export const contractsAtOnce = ({ lookups, apis }: Pick<Job, 'lookups' | 'apis'>): number =>
  Math.max(8, 2 * lookups.reduce((sum, { api }) => sum + apis[api]!.limits.concurrency, 0));

/**
 * Monotonic: `requests` is the latest end of a request, because the controls and the report come after it; `forecast` is the
 * latest forecast end of a chunk that may be admitted, earlier by as much again because forecasts err.
 */
function deadlinesFor(finishBy: Date, clock: Clock): { requests: number; forecast: number } {
  const left = finishBy.getTime() - clock.wallNow();
  const spare = spareMs(left);
  const end = clock.now() + left;
  return { requests: end - spare, forecast: end - 2 * spare };
}
