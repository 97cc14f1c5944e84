import type { Clock } from '../../resilience/clock.ts';
import type { Api } from '../../sources/api/api.ts';
import { ExpectedRequests } from '../forecast/expected-requests.ts';
import { earliestEnd, longestChain } from '../forecast/forecast.ts';
import type { Job } from '../job.ts';
import type { PlannedChunk } from '../../ledger/planned-contract.ts';
import { timeOfDay } from '../business-date.ts';
import type { RequestBounds } from '../enrich/lookups.ts';
import type { Tally } from '../run/progress.ts';
import { StopReason } from '../run/stop-reason.ts';

export interface DeadlineContext {
  job: Pick<Job, 'lookups' | 'contracts' | 'timezone'>;
  businessDate: string;
  /** When the run must have ended. */
  finishBy: Date | null;
  /** Monotonic: when what is admitted must have ended by the forecast. */
  deadline: number | undefined;
  clock: Clock;
  apis: ReadonlyMap<string, Pick<Api, 'statistics' | 'soonestSent'>>;
  /** Contracts that are worked on now. */
  contracts: { pending: number; concurrency: number };
  /** Chunks that wait for Postgres and that load. */
  loads: { size: number; pending: number; concurrency: number };
  tally: Pick<Tally, 'pages' | 'loadMs' | 'loads'>;
  /** Of `commit: run`: rows held back before this run, and milliseconds each when an earlier night measured it. */
  switchOver?: { heldBack: number; msPerRow: number | undefined } | undefined;
}

/** By API: requests that what has ended took at most, and those that were sent, repeats aside. */
interface Sample {
  /** Contracts. */
  ended: number;
  expected: Map<string, number>;
  sent: Map<string, number>;
}

/** Forecasts that are remembered to learn from, the latest ones. */
const remembered = 5;

/** Contracts from which on what was sent says more than what was expected. */
const meaningfulSample = 50;

/**
 * Lets a chunk begin, when its first contract's turn has come, only if it can end before the deadline together with all
 * that is under way. After the first that cannot, it lets none begin.
 */
export class DeadlineGate {
  readonly #context: DeadlineContext;
  #refusal: StopReason | undefined;
  #contracts = 0;
  #chunks = 0;
  #expected = new Map<string, number>();
  readonly #samples: Sample[] = [];
  readonly #begun = new Map<PlannedChunk, { at: number; earliest: number }>();
  /** How many times as long as forecast the latest chunks took. */
  #stretches: number[] = [];

  constructor(context: DeadlineContext) {
    this.#context = context;
  }

  /** Why chunks are not admitted any more; undefined while they are. */
  get refusal(): StopReason | undefined {
    return this.#refusal;
  }

  /** Whether the chunk may begin, which then counts as begun. */
  admits(chunk: PlannedChunk): boolean {
    const { clock, deadline, finishBy, apis, job } = this.#context;
    if (deadline === undefined || finishBy === null) return true;
    if (this.#refusal) return false;
    const now = clock.now();
    const earliest = this.#earliest(chunk);
    const rows = this.#rowsToSwitch(chunk.contracts.length);
    const end = this.#stretched(earliest) + this.#switchMs(rows);
    if (end > deadline) {
      const seconds = (ms: number): string => (Math.max(0, ms) / 1_000).toFixed(1);
      const what = rows === 0 ? 'what is under way' : `what is under way and the switch of ${rows} rows at the end`;
      this.#refusal = new StopReason(
        'DEADLINE',
        `${deadlineText(finishBy, job)} is too near for another chunk: with ${what} it takes ${seconds(end - now)} s more, and ${seconds(deadline - now)} s are left for it`,
      );
      return false;
    }
    this.#samples.push(this.#sample());
    const expected = this.#requestsOf(chunk);
    this.#expected = new Map(
      [...apis.keys()].map((api) => [api, (this.#expected.get(api) ?? 0) + expected.at(api)] as const),
    );
    this.#contracts += chunk.contracts.length;
    this.#chunks += 1;
    this.#begun.set(chunk, { at: now, earliest });
    return true;
  }

  /** To be called when a chunk is loaded. */
  loaded(chunk: PlannedChunk): void {
    const begun = this.#begun.get(chunk);
    if (begun === undefined) return;
    this.#begun.delete(chunk);
    const stretch = (this.#context.clock.now() - begun.at) / Math.max(1, begun.earliest - begun.at);
    this.#stretches = [...this.#stretches.slice(1 - remembered), stretch];
  }

  /** The monotonic time at which everything under way and this chunk will have ended, and what is held back has switched. */
  forecast(chunk: PlannedChunk): number {
    return this.#stretched(this.#earliest(chunk)) + this.#switchMs(this.#rowsToSwitch(chunk.contracts.length));
  }

  /** Milliseconds that the switch at the end takes for what has begun so far; 0 for jobs that load chunk by chunk. */
  get switchMs(): number {
    return this.#switchMs(this.#rowsToSwitch(0));
  }

  /** Bounds of requests until a monotonic time, less what the switch takes: that grows with every chunk that begins. */
  boundsUntil(requests: number, signal: AbortSignal): RequestBounds {
    // Read anew for each request. Not a field, because the object's own `this` is another.
    const deadline = (): number => requests - this.switchMs;
    return {
      signal,
      get deadline() {
        return deadline();
      },
    };
  }

  #rowsToSwitch(more: number): number {
    const { switchOver } = this.#context;
    return switchOver ? switchOver.heldBack + this.#contracts + more : 0;
  }

  /** By the pace of an earlier night, else by how long this run's chunks take into the ledger; unknown is 0. */
  #switchMs(rows: number): number {
    const { switchOver, tally } = this.#context;
    if (!switchOver) return 0;
    const eachChunk = tally.loadMs / Math.max(1, tally.loads);
    const contractsOfChunk = Math.max(1, this.#contracts / Math.max(1, this.#chunks));
    return rows * (switchOver.msPerRow ?? eachChunk / contractsOfChunk);
  }

  #stretched(earliest: number): number {
    const now = this.#context.clock.now();
    // The second largest: one outage among the latest is not taken for the rule.
    const stretch = Math.max(1, this.#stretches.toSorted((one, other) => other - one).at(1) ?? 1);
    return now + (earliest - now) * stretch;
  }

  /** The same if nothing but the limits and the latency holds it up. */
  #earliest(chunk: PlannedChunk): number {
    const { clock, apis, job, contracts } = this.#context;
    const now = clock.now();
    const expected = this.#requestsOf(chunk);
    const figures = new Map([...apis].map(([name, api]) => [name, api.statistics()]));
    // An API that was not asked yet is taken to be as quick as the one that lists.
    const listing = figures.get(job.contracts.api)!.latencyMs.p50;
    const latencyMs = (api: string): number => figures.get(api)!.latencyMs.p50 || listing;
    // What can be answered from the last known values does not wait for an API that rests.
    const waitedFor = [...apis].filter(
      ([name]) =>
        !figures.get(name)!.rests || job.lookups.some((one) => one.api === name && one.onFailure !== 'last-known'),
    );
    const fetched = earliestEnd(
      waitedFor.map(([name, api]) => {
        // What is worked on has mostly its requests before it: it waits for the same limits.
        const underWay = ((this.#expected.get(name) ?? 0) / Math.max(1, this.#contracts)) * contracts.pending;
        return {
          requests: Math.ceil((underWay + expected.at(name)) * this.#actualShare(name)),
          concurrency: figures.get(name)!.concurrency.settled ?? figures.get(name)!.concurrency.limit,
          latencyMs: latencyMs(name),
          soonestSent: (requests) => api.soonestSent(requests),
        };
      }),
      { now, chainMs: longestChain(job.lookups, latencyMs) },
    );
    return fetched + this.#loadMs();
  }

  #requestsOf({ contracts }: PlannedChunk): ExpectedRequests {
    const { job, businessDate, contracts: workers } = this.#context;
    const expected = new ExpectedRequests(job, { businessDate, atOnce: workers.concurrency });
    for (const contract of contracts) expected.add(contract);
    return expected;
  }

  #sample(): Sample {
    const { apis, job, tally, contracts } = this.#context;
    const ended = Math.max(0, this.#contracts - contracts.pending);
    const share = ended / Math.max(1, this.#contracts);
    const expected = [...this.#expected].map(([api, requests]) => [api, requests * share] as const);
    const sent = [...apis].map(([name, api]) => {
      const { requests, retries } = api.statistics();
      return [name, Math.max(0, requests - retries - (name === job.contracts.api ? tally.pages : 0))] as const;
    });
    return { ended, expected: new Map(expected), sent: new Map(sent) };
  }

  /**
   * What is sent of what is expected. Answers that serve many contracts make it less than 1, and as there are more of
   * them as the night goes on, the latter half of what has ended is looked at. Repeats make it more.
   */
  #actualShare(api: string): number {
    const { requests, retries } = this.#context.apis.get(api)!.statistics();
    const attempts = requests / Math.max(1, requests - retries) || 1;
    return this.#different(api) * attempts;
  }

  #different(api: string): number {
    const now = this.#sample();
    if (now.ended < meaningfulSample) return 1;
    // Some was sent for what has not ended yet. That is about as much at both times once the work is in full swing.
    const fullSwing = 2 * this.#context.contracts.concurrency;
    const earlier = this.#samples.findLast(({ ended }) => ended <= now.ended / 2 && ended >= fullSwing);
    const expected = (now.expected.get(api) ?? 0) - (earlier?.expected.get(api) ?? 0);
    const sent = (now.sent.get(api) ?? 0) - (earlier?.sent.get(api) ?? 0);
    return expected <= 0 ? 1 : Math.min(1, sent / expected);
  }

  /** Until what waits to be loaded, and one chunk more, is loaded. */
  #loadMs(): number {
    const { loads, tally } = this.#context;
    const each = tally.loadMs / Math.max(1, tally.loads);
    return Math.ceil((loads.size + loads.pending + 1) / loads.concurrency) * each;
  }
}

/** `finishBy 06:00 (2026-11-22T05:00:00.000Z)`. */
export function deadlineText(finishBy: Date, { timezone }: Pick<Job, 'timezone'>): string {
  return `finishBy ${timeOfDay(finishBy, timezone)} (${finishBy.toISOString()})`;
}
