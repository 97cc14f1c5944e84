import { NightfillError } from '../../resilience/failure.ts';
import type { Row } from '../../sinks/target/copy-upsert.ts';
import { ApiRestsError } from '../../sources/api/api-rests-error.ts';
import type { Json } from '../../sources/json/exact-json.ts';
import { getPath, type JsonPath } from '../../sources/json/json-path.ts';
import { RequestError } from '../../sources/api/request-error.ts';
import { renderTemplate, type Resolve } from '../../sources/json/template.ts';
import { sourcedAmounts, type KnownAmount } from '../load/amounts.ts';
import { failureRecord, type FailureRecord } from '../load/failure-record.ts';
import type { Lookup } from '../job.ts';
import { readLastKnown } from '../../ledger/last-known.ts';
import { isNamelessKey } from '../../ledger/listed-record.ts';
import { mapRow } from './map-row.ts';
import { persist } from '../run/persist.ts';
import type { PlannedContract } from '../plan/list-contracts.ts';
import { isOfRecord } from './repeated-failure.ts';
import type { EnrichContext } from '../run/run-context.ts';

/** What a lookup brought, and from where. `null` is the job file's `onFailure: null`. */
export interface LookupAnswer {
  value: Json;
  from: 'source' | 'last-known' | 'null';
  asOf?: string;
}

export interface StaleLookup {
  lookup: string;
  asOf: string;
}

/** A contract's outcome before it is loaded. */
export type EnrichedContract = { contract: PlannedContract } & (
  | {
      status: 'mapped';
      row: Row;
      /** What the sources said before a transform made the row; undefined without one: then the row says it. */
      sourced: KnownAmount[] | undefined;
      stale: StaleLookup[];
      remember: { lookup: string; value: Json }[];
    }
  | { status: 'failed'; failure: FailureRecord; amounts: KnownAmount[] }
  /** An API that it needs rests for longer than the night has. */
  | { status: 'not-started'; rests: ApiRestsError }
);

/** Asks a contract's lookups, together where they do not need one another, and maps its row. A failure is a value. */
export async function enrichContract(contract: PlannedContract, context: EnrichContext): Promise<EnrichedContract> {
  const { job } = context;
  if (contract.problem !== null) {
    const code = isNamelessKey(contract.key) ? 'CONTRACT_KEY_MISSING' : 'LISTED_RECORD_UNUSABLE';
    const error = new NightfillError({ code, class: 'data', message: contract.problem });
    return {
      contract,
      status: 'failed',
      failure: failureRecord(error, { stage: 'list' }),
      amounts: amountsOf(contract, new Map(), context),
    };
  }
  const asked = new Map<string, Promise<LookupAnswer>>();
  for (const lookup of job.lookups) asked.set(lookup.name, askLookup(lookup, { contract, context, asked }));
  const settled = await Promise.allSettled(asked.values());
  context.signal.throwIfAborted();

  const answers = new Map<string, LookupAnswer>();
  let failure: FailureRecord | undefined;
  let rests: ApiRestsError | undefined;
  settled.forEach((result, index) => {
    const { name } = job.lookups[index]!;
    if (result.status === 'fulfilled') answers.set(name, result.value);
    // Credentials that are refused as such are refused for all: asking on would only lock the account.
    else if (areUselessCredentials(result.reason)) throw result.reason;
    else if (result.reason instanceof ApiRestsError) rests ??= result.reason;
    // In dependency order the first to fail is the cause; lookups that needed it fail with its error.
    else failure ??= lookupFailure(result.reason, { lookup: job.lookups[index]!, contract, context });
  });
  if (rests && (!failure || failure.class === 'transient')) return { contract, status: 'not-started', rests };
  if (failure) return { contract, status: 'failed', failure, amounts: amountsOf(contract, answers, context) };

  const made = await transformed(contract, answers, context);
  const mapped = made instanceof NightfillError ? undefined : mapRow(contract, answers, context, made);
  if (!mapped || mapped.problem) {
    const record = failureRecord(mapped?.problem ?? made, { stage: 'map' });
    return { contract, status: 'failed', failure: record, amounts: amountsOf(contract, answers, context) };
  }
  const stale = [...answers].flatMap(([lookup, { asOf }]) => (asOf === undefined ? [] : [{ lookup, asOf }]));
  const remember = job.lookups.flatMap(({ name, onFailure }) => {
    const answer = answers.get(name)!;
    return onFailure === 'last-known' && answer.from === 'source' ? [{ lookup: name, value: answer.value }] : [];
  });
  const sourced = job.transform && amountsOf(contract, answers, context);
  return { contract, status: 'mapped', row: mapped.row, sourced, stale, remember };
}

/** The columns that the job's own module makes, or why it could not. */
async function transformed(
  contract: PlannedContract,
  answers: Map<string, LookupAnswer>,
  { transform, businessDate, signal }: EnrichContext,
): Promise<Record<string, Json> | NightfillError | undefined> {
  if (!transform) return undefined;
  const parts: Record<string, Json> = { key: contract.key, businessDate, listed: contract.listed };
  for (const [name, { value }] of answers) parts[name] = value;
  try {
    return await transform.row(parts, signal);
  } catch (error) {
    if (error instanceof NightfillError && !signal.aborted) return error;
    throw error;
  }
}

function lookupFailure(
  error: unknown,
  { lookup, contract, context }: { lookup: Lookup; contract: PlannedContract; context: EnrichContext },
): FailureRecord {
  const { name, batch } = lookup;
  const { key, failedBefore: earlier } = contract;
  const failure = failureRecord(error, { stage: 'lookup', lookup: name });
  // Of a batch that failed nobody knows whose record it was.
  if (batch) return failure;
  if (isOfRecord(error, { lookup: name, earlier, alone: context.failedAlone.has(key) }))
    return { ...failure, advice: 'fix-record' };
  if (error instanceof RequestError && error.answeredOthers) context.failedAlone.add(key);
  return failure;
}

export const isRefusedCredentials = (error: unknown): boolean =>
  error instanceof NightfillError && error.code === 'CREDENTIALS_REJECTED';

/** Not for one record alone, between others that were answered. */
const areUselessCredentials = (error: unknown): boolean =>
  isRefusedCredentials(error) && !(error instanceof RequestError && !error.credentialsUseless);

async function askLookup(
  lookup: Lookup,
  o: { contract: PlannedContract; context: EnrichContext; asked: Map<string, Promise<LookupAnswer>> },
): Promise<LookupAnswer> {
  const { contract, context } = o;
  // A lookup that another needs and that failed is that contract's failure, not this lookup's.
  const needed = await Promise.all(lookup.needs.map(async (name) => [name, (await o.asked.get(name)!).value] as const));
  const answers = new Map(needed);
  try {
    const resolve = scopeOf(contract, answers, context);
    const ask = async (waitForBreaker: boolean): Promise<LookupAnswer> => ({
      value: await context.metrics.measure(`lookup ${lookup.name}`, async () =>
        request(lookup, { contract, resolve, context, waitForBreaker }),
      ),
      from: 'source',
    });
    if (lookup.onFailure !== 'last-known') return await ask(true);
    // Where a last known value stands in, an API that seems dead is not waited for; where there is none, it is.
    try {
      return await ask(false);
    } catch (error) {
      if (!seemsDown(error)) throw error;
      return (await lastKnownAnswer(lookup, contract, context)) ?? (await ask(true));
    }
  } catch (error) {
    context.signal.throwIfAborted();
    // Nothing stands in for credentials: with them refused, every contract would get its fallback, and the night look green.
    if (!(error instanceof NightfillError) || isRefusedCredentials(error)) throw error;
    const fallback = await fallbackAnswer(lookup, contract, { error, context });
    if (fallback) return fallback;
    throw error;
  }
}

/** An open breaker, or a token server that rests: waiting longer may help. */
const seemsDown = (error: unknown): boolean =>
  error instanceof NightfillError && ['BREAKER_OPEN', 'TOKEN_UNAVAILABLE', 'API_RESTS'].includes(error.code);

/** One request, or this contract's share of one. */
async function request(
  lookup: Lookup,
  o: { contract: PlannedContract; resolve: Resolve; context: EnrichContext; waitForBreaker: boolean },
): Promise<Json> {
  const { contract, resolve, context } = o;
  const { shared } = context;
  const bounds = {
    ...context.bounds,
    lane: lookup.name,
    waitForBreaker: o.waitForBreaker,
    failedBefore: contract.failedBefore !== undefined,
    ...(context.attempts !== undefined && { attempts: context.attempts }),
  };
  const path = renderTemplate(lookup.path, resolve);
  const query = Object.fromEntries(
    Object.entries(lookup.query).map(([name, template]) => [name, renderTemplate(template, resolve, (text) => text)]),
  );
  const batched = context.batched.get(lookup.name);
  if (!lookup.batch || !batched) {
    const api = context.apis.get(lookup.api)!;
    return shared.ask(api, api.resolveUrl(path, query), bounds);
  }
  const { [lookup.batch.param]: id = contract.key, ...others } = query;
  return batched.ask({ path, query: others, id, bounds });
}

// A definite word about the record (404, 422, a value that is not there) is not an outage: no old value replaces it.
async function fallbackAnswer(
  lookup: Lookup,
  contract: PlannedContract,
  { error, context }: { error: NightfillError; context: EnrichContext },
): Promise<LookupAnswer | undefined> {
  if (lookup.onFailure === 'null') return { value: null, from: 'null' };
  if (lookup.onFailure === 'fail' || error.class === 'data') return undefined;
  return lastKnownAnswer(lookup, contract, context);
}

async function lastKnownAnswer(
  { name, maxAge }: Lookup,
  contract: PlannedContract,
  context: EnrichContext,
): Promise<LookupAnswer | undefined> {
  const at = { job: context.job.name, lookup: name, key: contract.key, maxAge };
  const known = await persist(async () => readLastKnown(context.database, at), context);
  return known && { value: known.value, from: 'last-known', asOf: known.asOf };
}

/** What the braces of a template may name. */
function scopeOf(contract: PlannedContract, answers: Map<string, Json>, context: EnrichContext): Resolve {
  return ([root, ...rest]: JsonPath) => {
    if (root === 'key') return contract.key;
    if (root === 'businessDate') return context.businessDate;
    if (root === 'businessMonth') return context.businessDate.slice(0, 7);
    return getPath(root === 'listed' ? contract.listed : answers.get(String(root)), rest);
  };
}

/** What the sources said of a contract's money, whatever a transform would make of it. */
function amountsOf(
  contract: PlannedContract,
  answers: Map<string, LookupAnswer>,
  context: EnrichContext,
): KnownAmount[] {
  const { texts } = mapRow(contract, answers, context);
  return sourcedAmounts(context.job, { answered: (column) => texts.get(column), listed: contract.listed });
}
