import type { FailureRecord } from '../../ledger/failure.ts';
import type { LastKnown } from '../../ledger/last-known.ts';
import type { PlannedContract } from '../../ledger/planned-contract.ts';
import { NightfillError } from '../../resilience/failure.ts';
import type { TaskMetrics } from '../../resilience/task-metrics.ts';
import type { Api } from '../../sources/api/api.ts';
import { ApiRestsError } from '../../sources/api/api-rests-error.ts';
import { RequestError } from '../../sources/api/request-error.ts';
import type { Json } from '../../sources/json/exact-json.ts';
import { getPath, type JsonPath } from '../../sources/json/json-path.ts';
import { renderTemplate, type Resolve } from '../../sources/json/template.ts';
import type { Job, Lookup } from '../job.ts';
import { failureRecord } from '../load/failure-record.ts';
import type { Answers, LookupAnswer } from './answer.ts';
import { batchedLookups } from './batched-lookup.ts';
import { isRefusedCredentials, refuseAll } from './refused-credentials.ts';
import { FailedAlone, isOfRecord } from './repeated-failure.ts';
import { SharedLookups } from './shared-lookups.ts';
import type { RowTransform } from './transform.ts';

/** Bounds of every request. */
export interface RequestBounds {
  signal: AbortSignal;
  /** Monotonic; it may change during the run, so read it for each request. */
  deadline?: number;
}

export interface LookupsOptions {
  job: Job;
  businessDate: string;
  apis: ReadonlyMap<string, Api>;
  bounds: RequestBounds;
  metrics: TaskMetrics;
  /** The job's own module, when it has one. */
  transform: RowTransform | undefined;
  /** The last value stored for a contract's lookup, unless it is older than `maxAge` milliseconds. */
  lastKnown: (o: { job: string; lookup: string; key: string; maxAge: number }) => Promise<LastKnown | undefined>;
}

/** The outcome of a contract's lookups. */
interface Asked {
  answers: Map<string, LookupAnswer>;
  /** The first failure in dependency order; lookups that needed its answer failed with the same error. */
  failure: FailureRecord | undefined;
  /** Set when an API that was needed rests for longer than the night has. */
  rests: ApiRestsError | undefined;
}

/** Fetches what a contract needs from the APIs. */
export class Lookups {
  readonly #o: LookupsOptions;
  readonly #shared = new SharedLookups();
  readonly #batched: ReturnType<typeof batchedLookups>;
  /** Contracts that failed while their API answered others. */
  readonly #failedAlone = new FailedAlone();
  /** Attempts per request; undefined means the API's own `retry`. */
  #attempts: number | undefined;

  constructor(o: LookupsOptions) {
    this.#o = o;
    this.#batched = batchedLookups(o.job, { apis: o.apis, shared: this.#shared });
  }

  get apis(): ReadonlyMap<string, Api> {
    return this.#o.apis;
  }

  get bounds(): RequestBounds {
    return this.#o.bounds;
  }

  /** Makes each request only once from now on, because its retries were used up before. */
  askOnce(): void {
    this.#attempts = 1;
  }

  /** Runs a contract's lookups, concurrently unless one needs another. Throws errors that would fail every contract. */
  async ask(contract: PlannedContract): Promise<Asked> {
    const { lookups } = this.#o.job;
    const asked = new Map<string, Promise<LookupAnswer>>();
    for (const lookup of lookups) asked.set(lookup.name, this.#askLookup(lookup, contract, asked));
    const settled = await Promise.allSettled(asked.values());
    this.#o.bounds.signal.throwIfAborted();

    const answers = new Map<string, LookupAnswer>();
    let failure: FailureRecord | undefined;
    let rests: ApiRestsError | undefined;
    settled.forEach((result, index) => {
      const lookup = lookups[index]!;
      if (result.status === 'fulfilled') answers.set(lookup.name, result.value);
      // Invalid credentials are refused for every contract, and further requests might lock the account.
      else if (refuseAll(result.reason)) throw result.reason;
      else if (result.reason instanceof ApiRestsError) rests ??= result.reason;
      else failure ??= this.#failureOf(result.reason, lookup, contract);
    });
    return { answers, failure, rests };
  }

  /** The columns that the job's transform makes, or its error; undefined without a transform. */
  async transform(
    contract: PlannedContract,
    answers: Answers,
  ): Promise<Record<string, Json> | NightfillError | undefined> {
    const { transform, businessDate, bounds } = this.#o;
    if (!transform) return undefined;
    const parts: Record<string, Json> = { key: contract.key, businessDate, listed: contract.listed };
    for (const [name, { value }] of answers) parts[name] = value;
    try {
      return await transform.row(parts, bounds.signal);
    } catch (error) {
      if (error instanceof NightfillError && !bounds.signal.aborted) return error;
      throw error;
    }
  }

  #failureOf(error: unknown, { name, batch }: Lookup, { key, failedBefore: earlier }: PlannedContract): FailureRecord {
    const failure = failureRecord(error, { stage: 'lookup', lookup: name });
    // When a batch fails, nobody knows whose record caused it.
    if (batch) return failure;
    if (isOfRecord(error, { lookup: name, earlier, alone: this.#failedAlone.has(key) }))
      return { ...failure, advice: 'fix-record' };
    if (error instanceof RequestError && error.answeredOthers) this.#failedAlone.add(key);
    return failure;
  }

  async #askLookup(
    lookup: Lookup,
    contract: PlannedContract,
    asked: Map<string, Promise<LookupAnswer>>,
  ): Promise<LookupAnswer> {
    // When a needed lookup failed, this throws that lookup's error, and no fallback of this lookup applies.
    const needed = await Promise.all(lookup.needs.map(async (name) => [name, (await asked.get(name)!).value] as const));
    const resolve = this.#scopeOf(contract, new Map(needed));
    const ask = async (waitForBreaker: boolean): Promise<LookupAnswer> => ({
      value: await this.#o.metrics.measure(`lookup ${lookup.name}`, async () =>
        this.#request(lookup, { contract, resolve, waitForBreaker }),
      ),
      from: 'source',
    });
    try {
      if (lookup.onFailure !== 'last-known') return await ask(true);
      // Wait for an API that seems down only if there is no last known value.
      try {
        return await ask(false);
      } catch (error) {
        if (!seemsDown(error)) throw error;
        return (await this.#lastKnown(lookup, contract)) ?? (await ask(true));
      }
    } catch (error) {
      this.#o.bounds.signal.throwIfAborted();
      // No fallback for refused credentials: the whole night would run on fallbacks and seem to succeed.
      if (!(error instanceof NightfillError) || isRefusedCredentials(error)) throw error;
      const fallback = await this.#fallback(lookup, contract, error);
      if (fallback) return fallback;
      throw error;
    }
  }

  /** One request, or this contract's share of one. */
  async #request(
    lookup: Lookup,
    o: { contract: PlannedContract; resolve: Resolve; waitForBreaker: boolean },
  ): Promise<Json> {
    const { contract, resolve } = o;
    const bounds = {
      ...this.#o.bounds,
      lane: lookup.name,
      waitForBreaker: o.waitForBreaker,
      failedBefore: contract.failedBefore !== undefined,
      ...(this.#attempts !== undefined && { attempts: this.#attempts }),
    };
    const path = renderTemplate(lookup.path, resolve);
    const query = Object.fromEntries(
      Object.entries(lookup.query).map(([name, template]) => [name, renderTemplate(template, resolve, (text) => text)]),
    );
    const batched = this.#batched.get(lookup.name);
    if (!lookup.batch || !batched) {
      const api = this.#o.apis.get(lookup.api)!;
      return this.#shared.ask(api, api.resolveUrl(path, query), bounds);
    }
    const { [lookup.batch.param]: id = contract.key, ...others } = query;
    return batched.ask({ path, query: others, id, bounds });
  }

  /** The fallback for an answer. A definite answer about the record (404, 422) is no outage, so no old value replaces it. */
  async #fallback(lookup: Lookup, contract: PlannedContract, error: NightfillError): Promise<LookupAnswer | undefined> {
    if (lookup.onFailure === 'null') return { value: null, from: 'null' };
    if (lookup.onFailure === 'fail' || error.class === 'data') return undefined;
    return this.#lastKnown(lookup, contract);
  }

  async #lastKnown({ name, maxAge }: Lookup, { key }: PlannedContract): Promise<LookupAnswer | undefined> {
    const known = await this.#o.lastKnown({ job: this.#o.job.name, lookup: name, key, maxAge });
    return known && { value: known.value, from: 'last-known', asOf: known.asOf };
  }

  /** Resolves the names that a template may use in braces. */
  #scopeOf(contract: PlannedContract, answers: ReadonlyMap<string, Json>): Resolve {
    const { businessDate } = this.#o;
    return ([root, ...rest]: JsonPath) => {
      if (root === 'key') return contract.key;
      if (root === 'businessDate') return businessDate;
      if (root === 'businessMonth') return businessDate.slice(0, 7);
      return getPath(root === 'listed' ? contract.listed : answers.get(String(root)), rest);
    };
  }
}

/** Whether waiting longer may help: the breaker is open, or the API or its token server rests. */
const seemsDown = (error: unknown): boolean =>
  error instanceof NightfillError && ['BREAKER_OPEN', 'TOKEN_UNAVAILABLE', 'API_RESTS'].includes(error.code);
