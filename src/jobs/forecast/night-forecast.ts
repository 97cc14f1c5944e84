import type { LastNight } from '../../ledger/history/last-night.ts';
import type { Clock } from '../../resilience/clock.ts';
import { Api, type ApiHooks } from '../../sources/api/api.ts';
import type { SettledConcurrency } from '../../ledger/history/api-figures.ts';
import { listPages } from '../../sources/listing/paginate.ts';
import { listedFieldKeeper } from '../load/amounts.ts';
import { ExpectedRequests } from './expected-requests.ts';
import { forecastApi, rateThatFits, spareMs, type ApiForecast } from './forecast.ts';
import type { Job } from '../job.ts';
import { dateScope } from '../plan/date-scope.ts';
import { plannedContract } from '../plan/list-contracts.ts';
import type { NightLedger } from './night-ledger.ts';
import { contractsAtOnce } from '../admission/admission.ts';
import type { SwitchPace } from '../../ledger/history/switch-pace.ts';

/** An API's requests tonight against its daily quota. */
export type QuotaForecast = { api: string; requests: number } & (
  | { day: string; of: number; used: number; reserved: number; spendable: number; fits: boolean; renewsAt: string }
  | { unknown: string }
);

/** The forecast for a night that starts now. Times in milliseconds. */
export interface NightForecast {
  job: string;
  businessDate: string;
  /** Null when it could not be read, with the reason in `databaseUnknown`. */
  database: string | null;
  databaseUnknown: string | null;
  /** Null when nothing is planned for the date yet. */
  instance: { status: string; planned: number; loaded: number; left: number } | null;
  sourceTotal: string | null;
  /** Contracts left to enrich. */
  contracts: number;
  /** Upper bounds, because a lookup that needs another's answer may be equal for many contracts. */
  apis: (ApiForecast & { concurrency: number; latencyMs: number; latencyFrom: 'last run' | 'listing' | 'unknown' })[];
  shortestMs: number;
  finishBy: string | null;
  /** The switch at the end, with `commit: run`; null otherwise. `ms` is null before anything was measured. */
  switchOver: { rows: number; ms: number | null; paceFrom: SwitchPace['from'] | null } | null;
  /** Time until finishBy, less the time reserved for the switch, the report and errors of the forecast; null without finishBy. */
  availableMs: number | null;
  fits: boolean | null;
  /** Per API whose rates are too low: the requests per second at which the night would fit; null when no rate suffices. */
  ratesThatFit: { api: string; perSecond: number | null }[];
  /** APIs that refused more requests in flight in the latest run, where the job file still allows more. */
  settled: readonly SettledConcurrency[];
  /** Per API whose concurrency is too low: the requests in flight at which the night would fit; null when none suffices. */
  concurrencyThatFits: { api: string; concurrency: number | null }[];
  quotas: QuotaForecast[];
  lastRun: LastNight | null;
  /** Share of contracts above which failures stop the run, and whether the last run's share was above it. */
  failures: { stopAbove: number; lastRunAbove: boolean };
}

interface Work {
  contracts: number;
  /** Requests of the listing. */
  pages: number;
  sourceTotal: string | null;
  expected: ExpectedRequests;
}

/** Forecasts the work left for the date, from its stored plan or else by listing. Writes nothing. */
export async function forecastNight(
  job: Job,
  o: {
    businessDate: string;
    finishBy: Date | null;
    clock: Clock;
    ledger: NightLedger | { unknown: string };
    onRest: ApiHooks['onRest'];
  },
): Promise<NightForecast> {
  const { businessDate, finishBy, clock } = o;
  const ledger = 'unknown' in o.ledger ? undefined : o.ledger;
  await using stack = new AsyncDisposableStack();
  const apis = new Map(
    Object.values(job.apis).map(
      (options) => [options.name, stack.use(new Api(options, { clock, onRest: o.onRest }))] as const,
    ),
  );
  const work = await workOf(job, { businessDate, ledger, listing: apis.get(job.contracts.api)! });
  const forecasts = Object.values(job.apis).map((options) => {
    const requests = work.expected.at(options.name) + (options.name === job.contracts.api ? work.pages : 0);
    const measured = ledger?.latencyMs.get(options.name);
    const listed = apis.get(job.contracts.api)!.statistics().latencyMs.p50;
    const latencyMs = Math.round((measured ?? listed) * 100) / 100;
    const latencyFrom =
      measured !== undefined ? ('last run' as const) : listed > 0 ? ('listing' as const) : ('unknown' as const);
    return {
      ...forecastApi(options, { requests, latencyMs }),
      concurrency: options.limits.concurrency,
      latencyMs,
      latencyFrom,
    };
  });
  const left = finishBy && finishBy.getTime() - clock.wallNow();
  const switchOver = switchOverOf(job, { ledger, contracts: work.contracts });
  const kept = left === null ? 0 : 2 * spareMs(left) + (switchOver?.ms ?? 0);
  const availableMs = left === null ? null : Math.max(0, Math.round(left - kept));
  const available = availableMs ?? Infinity;
  const shortestMs = Math.max(0, ...forecasts.map((api) => api.shortestMs));
  const quotas = await Promise.all(forecasts.map(async (api) => quotaOf(api, { apis, forecasts, ledger: o.ledger })));
  const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);
  return {
    job: job.name,
    businessDate,
    database: ledger?.database ?? null,
    databaseUnknown: 'unknown' in o.ledger ? o.ledger.unknown : null,
    instance: ledger?.instance
      ? {
          status: ledger.instance.status,
          planned: ledger.instance.planned,
          loaded: ledger.instance.loaded,
          left: work.contracts,
        }
      : null,
    sourceTotal: work.sourceTotal,
    contracts: work.contracts,
    apis: forecasts,
    shortestMs,
    switchOver,
    settled: ledger?.settled ?? [],
    finishBy: finishBy?.toISOString() ?? null,
    availableMs,
    fits: left === null ? null : shortestMs + kept <= left,
    ratesThatFit: forecasts
      .filter(({ requests, latencyMs, api }) => {
        const { rates } = job.apis[api]!.limits;
        return (
          rates.length > 0 &&
          forecastApi(job.apis[api]!, { requests, latencyMs, slots: Infinity }).shortestMs > available
        );
      })
      .map(({ api, requests, latencyMs }) => ({
        api,
        perSecond: finite(rateThatFits(requests, available - latencyMs)),
      })),
    concurrencyThatFits: forecasts
      .filter(({ requests, concurrency, latencyMs }) => Math.ceil(requests / concurrency) * latencyMs > available)
      .map(({ api, requests, latencyMs }) => ({
        api,
        concurrency: available < latencyMs ? null : Math.ceil(requests / Math.floor(available / latencyMs)),
      })),
    quotas: quotas.flat(),
    lastRun: ledger?.lastRun ?? null,
    failures: {
      stopAbove: job.failures.stopAbove,
      lastRunAbove:
        ledger?.lastRun !== undefined && ledger.lastRun.failed > job.failures.stopAbove * ledger.lastRun.contracts,
    },
  };
}

function switchOverOf(
  job: Job,
  { ledger, contracts }: { ledger: NightLedger | undefined; contracts: number },
): NightForecast['switchOver'] {
  if (job.commit !== 'run') return null;
  const rows = (ledger?.instance?.heldBack ?? 0) + contracts;
  const pace = ledger?.switchPace;
  return { rows, ms: pace ? Math.round(rows * pace.msPerRow) : null, paceFrom: pace?.from ?? null };
}

async function workOf(
  job: Job,
  { businessDate, ledger, listing }: { businessDate: string; ledger: NightLedger | undefined; listing: Api },
): Promise<Work> {
  const instance = ledger?.instance;
  if (instance && instance.status !== 'planning') {
    const { left, sourceTotal } = instance;
    return { contracts: left, pages: 0, sourceTotal, expected: instance.expected };
  }
  const expected = new ExpectedRequests(job, { businessDate, atOnce: contractsAtOnce(job) });
  const keep = listedFieldKeeper(job);
  const keys = new Set<string>();
  let contracts = 0;
  let pages = 0;
  let sourceTotal: string | null = null;
  for await (const page of listPages(listing, job.contracts, { resolve: dateScope(businessDate) })) {
    pages += 1;
    sourceTotal ??= page.total ?? null;
    for (const record of page.records) {
      const contract = plannedContract(record, { job, keep, ordinal: keys.size + 1 });
      if (contract.problem !== null || keys.has(contract.key)) continue;
      keys.add(contract.key);
      if (instance?.loadedKeys.has(contract.key)) continue;
      contracts += 1;
      expected.add(contract);
    }
  }
  return { contracts, pages, sourceTotal, expected };
}

async function quotaOf(
  { api, requests }: ApiForecast,
  o: { apis: ReadonlyMap<string, Api>; forecasts: readonly ApiForecast[]; ledger: NightLedger | { unknown: string } },
): Promise<QuotaForecast[]> {
  const { quota, origin } = o.apis.get(api)!;
  if (!quota) return [];
  const { ledger } = o;
  if ('unknown' in ledger) return [{ api, requests, unknown: ledger.unknown }];
  await quota.share(async (use) => Promise.resolve(ledger.quotaUse(origin, use.period) ?? use));
  const { figures } = quota;
  if (!figures)
    return [{ api, requests, unknown: 'the API announces its quota in its answers, and none has come today' }];
  const { period: day, of, used, reserved, spendable, renewsAt } = figures;
  // The job's APIs of one origin share its quota.
  const together = o.forecasts
    .filter((other) => o.apis.get(other.api)!.origin === origin && o.apis.get(other.api)!.quota)
    .reduce((sum, other) => sum + other.requests, 0);
  const renews = new Date(renewsAt).toISOString();
  return [{ api, requests, day, of, used, reserved, spendable, fits: together <= spendable, renewsAt: renews }];
}
