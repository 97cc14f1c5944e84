import { longestKey, namelessKey } from '../../ledger/listed-record.ts';
import { closePlan, storeChunk } from '../../ledger/plan.ts';
import type { PlannedContract } from '../../ledger/planned-contract.ts';
import type { ListedContract } from '../../ledger/store-contracts.ts';
import { NightfillError } from '../../resilience/failure.ts';
import { scalarText, type Json } from '../../sources/json/exact-json.ts';
import { formatJsonPath, getPath, type JsonPath } from '../../sources/json/json-path.ts';
import { listPages } from '../../sources/listing/paginate.ts';
import type { Job } from '../job.ts';
import { listedFieldKeeper } from '../load/amounts.ts';
import { dateScope } from './date-scope.ts';
import type { RunContext } from '../run/run-context.ts';

/**
 * Lists the contracts and stores them chunk by chunk; `onChunk` gets each number once it is stored.
 * A contract listed twice, or planned before a crash, is planned once. The listing never waits for the chunks to be
 * worked on, because a cursor that has to last for hours may expire.
 */
export async function listContracts(
  { job, businessDate, clock, ledger, lookups, stop, progress: { tally } }: RunContext,
  o: { limit: number | undefined; onChunk: (number: number) => Promise<void> },
): Promise<void> {
  const { numbers, instance } = ledger;
  const api = lookups.apis.get(job.contracts.api)!;
  const keep = listedFieldKeeper(job);
  const limit = o.limit ?? Infinity;
  const started = clock.now();
  let pending: ListedContract[] = [];
  let records = 0;
  let sourceTotal: string | undefined;
  let totalChanged = false;

  const store = async (): Promise<void> => {
    const chunk = { number: numbers.next(), contracts: pending };
    const stored = await ledger.commit(async (client) => storeChunk(client, chunk, ledger), { chunk: chunk.number });
    pending = [];
    if (stored === 0) return numbers.giveBack(chunk.number);
    tally.listed += stored;
    tally.chunks += 1;
    await o.onChunk(chunk.number);
  };

  const resolve = dateScope(businessDate);
  try {
    const bounds = { ...lookups.bounds, signal: stop.listing };
    listing: for await (const page of listPages(api, job.contracts, { resolve, ...bounds })) {
      tally.pages += 1;
      totalChanged ||= sourceTotal !== undefined && page.total !== undefined && page.total !== sourceTotal;
      sourceTotal ??= page.total;
      if (o.limit === undefined && sourceTotal !== undefined) tally.sourceTotal = Number(sourceTotal);
      for (const record of page.records) {
        if (records >= limit) break listing;
        records += 1;
        pending.push({ ...plannedContract(record, { job, keep, ordinal: records }), record: records });
        // oxlint-disable-next-line no-await-in-loop -- pages and chunks come in order, and the wait is the back pressure
        if (pending.length >= job.chunk.size) await store();
      }
    }
  } catch (error) {
    // Contracts listed before a page failed are worked on, even if they do not fill a chunk.
    if (error instanceof NightfillError && !stop.signal.aborted && pending.length > 0) await store();
    throw error;
  }
  if (pending.length > 0) await store();
  const whole = o.limit === undefined;
  await ledger.commit(async (client) =>
    closePlan(client, instance, { records, sourceTotal: whole ? sourceTotal : undefined, totalChanged, whole }),
  );
  tally.listingDone = true;
  tally.listMs = clock.now() - started;
}

export function plannedContract(
  record: Json,
  { job, keep, ordinal }: { job: Job; keep: (record: Json) => Json; ordinal: number },
): PlannedContract {
  const path = job.contracts.key;
  const key = scalarText(getPath(record, path)) ?? '';
  const listed = keep(record);
  const fault = faultOf(key, path);
  if (fault === null) return { key, listed, problem: null };
  return { key: namelessKey(ordinal), listed, problem: `record ${ordinal} of the listing has no usable key: ${fault}` };
}

function faultOf(key: string, path: JsonPath): string | null {
  if (key === '' || !key.isWellFormed() || key.includes('\0'))
    return `expected a text or number at ${formatJsonPath(path)}`;
  const bytes = Buffer.byteLength(key);
  return bytes <= longestKey ? null : `expected at most ${longestKey} bytes, got ${bytes}`;
}
