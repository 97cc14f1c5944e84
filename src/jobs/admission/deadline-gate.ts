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
  /** Monotonic: the latest forecast end of a chunk that may be admitted. */
  deadline: number | undefined;
  clock: Clock;
  apis: ReadonlyMap<string, Pick<Api, 'statistics' | 'soonestSent'>>;
  /** The queue of contracts; `pending` ones are worked on now. */
  contracts: { pending: number; concurrency: number };
  /** The queue of loads: `size` chunks wait, `pending` ones load. */
  loads: { size: number; pending: number; concurrency: number };
  tally: Pick<Tally, 'pages' | 'loadMs' | 'loads'>;
  /** For `commit: run`: rows held back before this run, and milliseconds per row if an earlier night measured it. */
  switchOver?: { heldBack: number; msPerRow: number | undefined } | undefined;
}

/** Expected and sent requests by API, without repeats, for the contracts that have ended. */
interface Sample {
  /** Number of contracts that have ended. */
  ended: number;
  expected: Map<string, number>;
  sent: Map<string, number>;
}

/** How many of the latest chunks the stretch is learnt from. */
const remembered = 5;

/** Fewest ended contracts from which the share of requests sent is learnt. */
const meaningfulSample = 50;

/**
 * Admits a chunk, when the turn of its first contract has come, only if it and all work in progress can end before the
 * deadline. After the first refusal it admits none.
 */
export class DeadlineGate {
  readonly #context: DeadlineContext;
  #refusal: StopReason | undefined;
  #contracts = 0;
  #chunks = 0;
  #expected = new Map<string, number>();
  readonly #samples: Sample[] = [];
  readonly #begun = new Map<PlannedChunk, { at: number; earliest: number }>();
  /** Actual duration divided by the forecast one, for the latest chunks. */
  #stretches: number[] = [];

  constructor(context: DeadlineContext) {
    this.#context = context;
  }

  /** Why no more chunks are admitted; undefined while they are. */
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
      const work =
        rows === 0 ? 'the work in progress' : `the work in progress and the switch of ${rows} rows at the end`;
      this.#refusal = new StopReason(
        'DEADLINE',
        `${deadlineText(finishBy, job)} is too near for another chunk: with ${work} it would take ${seconds(end - now)} s, and ${seconds(deadline - now)} s are left`,
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

  /** Call it when a chunk has been loaded. */
  loaded(chunk: PlannedChunk): void {
    const begun = this.#begun.get(chunk);
    if (begun === undefined) return;
    this.#begun.delete(chunk);
    const stretch = (this.#context.clock.now() - begun.at) / Math.max(1, begun.earliest - begun.at);
    this.#stretches = [...this.#stretches.slice(1 - remembered), stretch];
  }

  /** The forecast monotonic end of this chunk and all work in progress, the switch of the rows held back included. */
  forecast(chunk: PlannedChunk): number {
    return this.#stretched(this.#earliest(chunk)) + this.#switchMs(this.#rowsToSwitch(chunk.contracts.length));
  }

  /** Forecast milliseconds of the switch for all chunks begun so far; 0 for `commit: chunk`. */
  get switchMs(): number {
    return this.#switchMs(this.#rowsToSwitch(0));
  }

  /** Bounds of requests until a monotonic time, less the time of the switch, which grows with every chunk that begins. */
  boundsUntil(requests: number, signal: AbortSignal): RequestBounds {
    // Read for each request, by a getter whose `this` is not the gate.
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

  /** From the pace of an earlier night, else from how long this run's chunks take to be held back; 0 when unknown. */
  #switchMs(rows: number): number {
    const { switchOver, tally } = this.#context;
    if (!switchOver) return 0;
    const eachChunk = tally.loadMs / Math.max(1, tally.loads);
    const contractsOfChunk = Math.max(1, this.#contracts / Math.max(1, this.#chunks));
    return rows * (switchOver.msPerRow ?? eachChunk / contractsOfChunk);
  }

  #stretched(earliest: number): number {
    const now = this.#context.clock.now();
    // The second largest, so that a single outage does not count as typical.
    const stretch = Math.max(1, this.#stretches.toSorted((one, other) => other - one).at(1) ?? 1);
    return now + (earliest - now) * stretch;
  }

  /** The monotonic end of this chunk and all work in progress if only limits and latency delay it; without the switch. */
  #earliest(chunk: PlannedChunk): number {
    const { clock, apis, job, contracts } = this.#context;
    const now = clock.now();
    const expected = this.#requestsOf(chunk);
    const figures = new Map([...apis].map(([name, api]) => [name, api.statistics()]));
    // Assume the listing's latency for an API without answers so far.
    const listing = figures.get(job.contracts.api)!.latencyMs.p50;
    const latencyMs = (api: string): number => figures.get(api)!.latencyMs.p50 || listing;
    // Lookups with last known values do not wait for an API that rests.
    const waitedFor = [...apis].filter(
      ([name]) =>
        !figures.get(name)!.rests || job.lookups.some((one) => one.api === name && one.onFailure !== 'last-known'),
    );
    const fetched = earliestEnd(
      waitedFor.map(([name, api]) => {
        // Contracts in progress still have most of their requests to send, because they wait for the same limits.
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
   * Sent requests divided by expected ones. Answers that many contracts share lower it, ever more during the night, so only
   * the later half of the ended contracts counts. Repeats raise it.
   */
  #actualShare(api: string): number {
    const { requests, retries } = this.#context.apis.get(api)!.statistics();
    const attempts = requests / Math.max(1, requests - retries) || 1;
    return this.#different(api) * attempts;
  }

  #different(api: string): number {
    const now = this.#sample();
    if (now.ended < meaningfulSample) return 1;
    // Requests of contracts in progress are counted too; once all workers are busy, they are about as many at both times.
    const fullSwing = 2 * this.#context.contracts.concurrency;
    const earlier = this.#samples.findLast(({ ended }) => ended <= now.ended / 2 && ended >= fullSwing);
    const expected = (now.expected.get(api) ?? 0) - (earlier?.expected.get(api) ?? 0);
    const sent = (now.sent.get(api) ?? 0) - (earlier?.sent.get(api) ?? 0);
    return expected <= 0 ? 1 : Math.min(1, sent / expected);
  }

  /** Milliseconds to load the chunks that wait or load now, and one more. */
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
