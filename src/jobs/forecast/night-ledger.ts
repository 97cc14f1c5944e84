import { readLatencies, type SettledConcurrency } from '../../ledger/history/api-figures.ts';
import { readLastNight, type LastNight } from '../../ledger/history/last-night.ts';
import { readSwitchPace, type SwitchPace } from '../../ledger/history/switch-pace.ts';
import { countHeldBack } from '../../ledger/held-back.ts';
import { findInstance } from '../../ledger/instance.ts';
import { countPlanned } from '../../ledger/plan.ts';
import { readChunk, readLoadedKeys, unfinishedChunks } from '../../ledger/planned-work.ts';
import { readQuotaUse } from '../../ledger/quota-use.ts';
import type { QuotaUse } from '../../resilience/quota.ts';
import type { Queryable } from '../../sinks/postgres/postgres.ts';
import type { Job } from '../job.ts';
import { contractsAtOnce } from '../admission/admission.ts';
import { readSettled } from '../settled-concurrency.ts';
import { ExpectedRequests } from './expected-requests.ts';

/** What a forecast needs from the ledger. */
export interface NightLedger {
  /** Description of the database, as the forecast shows it. */
  database: string;
  instance:
    | {
        status: string;
        sourceTotal: string | null;
        planned: number;
        loaded: number;
        /** Keys loaded already, when the listing was cut off and will be repeated; empty when it is complete. */
        loadedKeys: ReadonlySet<string>;
        /** Contracts to work on, and the requests they take. */
        left: number;
        expected: ExpectedRequests;
        /** Rows held back for the switch at the end. */
        heldBack: number;
      }
    | undefined;
  /** Undefined for jobs that load chunk by chunk, and before anything was measured. */
  switchPace: SwitchPace | undefined;
  /** By API: the median in milliseconds in the latest run that sent it requests, among recent runs. */
  latencyMs: ReadonlyMap<string, number>;
  /** Settled concurrencies of the latest run. */
  settled: readonly SettledConcurrency[];
  lastRun: LastNight | undefined;
  /** The quota used at an origin on a day, for recent days. */
  quotaUse: (origin: string, day: string) => QuotaUse | undefined;
}

export async function readNightLedger(
  database: Queryable & { description: string },
  { job, businessDate }: { job: Job; businessDate: string },
): Promise<NightLedger> {
  const quotaUse = await readQuotaUse(database);
  return {
    database: database.description,
    instance: await readNight(database, { job, businessDate }),
    switchPace: job.commit === 'run' ? await readSwitchPace(database, job.name) : undefined,
    latencyMs: await readLatencies(database, job.name),
    settled: await readSettled(database, job),
    lastRun: await readLastNight(database, job.name),
    quotaUse: (origin, day) => quotaUse.find((use) => use.origin === origin && use.period === day),
  };
}

async function readNight(
  database: Queryable,
  { job, businessDate }: { job: Job; businessDate: string },
): Promise<NightLedger['instance']> {
  const instance = await findInstance(database, { job: job.name, businessDate, purpose: 'night' });
  if (!instance) return undefined;
  const { id, status, sourceTotal } = instance;
  const { contracts: planned, loaded } = await countPlanned(database, id, {});
  const expected = new ExpectedRequests(job, { businessDate, atOnce: contractsAtOnce(job) });
  let left = 0;
  if (status !== 'planning')
    for (const number of await unfinishedChunks(database, id, {})) {
      // oxlint-disable-next-line no-await-in-loop -- a million contracts together would not fit into memory
      const { contracts } = await readChunk(database, { instance: id, number }, {});
      for (const contract of contracts) expected.add(contract);
      left += contracts.length;
    }
  const loadedKeys = status === 'planning' ? await readLoadedKeys(database, id) : new Set<string>();
  const heldBack = await countHeldBack(database, id);
  return { status, sourceTotal, planned, loaded, loadedKeys, left, expected, heldBack };
}
