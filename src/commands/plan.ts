import { loadJob } from '../config/load-job.ts';
import { businessDateIn, nextTimeOfDay } from '../jobs/business-date.ts';
import { forecastApi, rateThatFits, type ApiForecast } from '../jobs/forecast.ts';
import type { Job } from '../jobs/job.ts';
import { listedFieldKeeper } from '../jobs/amounts.ts';
import { ExpectedRequests } from '../jobs/expected-requests.ts';
import { dateScope, plannedContract } from '../jobs/plan.ts';
import { contractsAtOnce } from '../jobs/run.ts';
import { Api } from '../sources/api.ts';
import { listPages } from '../sources/paginate.ts';
import { table } from './summary.ts';
import type { Terminal } from './terminal.ts';

export interface PlanOptions {
  json?: boolean;
  date?: string;
}

/** `nightfill plan`: lists the contracts and says what the night would take. Writes nothing, not even to a database. */
export async function planCommand(file: string, options: PlanOptions, terminal: Terminal): Promise<number> {
  const { environment, stdout, stderr } = terminal;
  const job = await loadJob(file, { environment, onWarning: (line) => stderr.write(`${line}\n`) });
  const forecast = await forecastNight(job, options.date ?? businessDateIn(job.timezone, new Date()));
  stdout.write(options.json ? `${JSON.stringify(forecast, null, 2)}\n` : `${lines(job, forecast).join('\n')}\n`);
  return 0;
}

export interface Forecast {
  job: string;
  businessDate: string;
  sourceTotal: string | null;
  contracts: number;
  /** At most: a lookup that needs another's answer may turn out to be the same for many contracts. */
  apis: ApiForecast[];
  shortestMs: number;
  finishBy: string | null;
  /** Whether a night that starts now can be done by then; null without finishBy. */
  fits: boolean | null;
  /** Per API that is too slow: the rate per second at which it would fit. */
  ratesThatFit: { api: string; perSecond: number }[];
}

async function forecastNight(job: Job, businessDate: string): Promise<Forecast> {
  const listing = await countListing(job, businessDate);
  const apis = Object.values(job.apis).map((options) => {
    const requests = listing.expected.at(options.name) + (job.contracts.api === options.name ? listing.pages : 0);
    return forecastApi(options, { requests, latencyMs: listing.latencyMs });
  });
  const shortestMs = Math.max(...apis.map((api) => api.shortestMs));
  const finishBy = job.finishBy ? nextTimeOfDay(job.finishBy, { timezone: job.timezone, now: new Date() }) : null;
  const availableMs = finishBy ? finishBy.getTime() - Date.now() : Infinity;
  return {
    job: job.name,
    businessDate,
    sourceTotal: listing.sourceTotal ?? null,
    contracts: listing.contracts,
    apis,
    shortestMs,
    finishBy: finishBy?.toISOString() ?? null,
    fits: finishBy ? shortestMs <= availableMs : null,
    ratesThatFit: apis
      .filter((api) => api.shortestMs > availableMs)
      .map(({ api, requests }) => ({ api, perSecond: rateThatFits(requests, availableMs) })),
  };
}

interface CountedListing {
  contracts: number;
  pages: number;
  sourceTotal: string | undefined;
  /** Of the listing's own pages: the only latency there is before anything else was asked. */
  latencyMs: number;
  expected: ExpectedRequests;
}

async function countListing(job: Job, businessDate: string): Promise<CountedListing> {
  await using api = new Api(job.apis[job.contracts.api]!);
  const keep = listedFieldKeeper(job);
  const keys = new Set<string>();
  const expected = new ExpectedRequests(job, { businessDate, atOnce: contractsAtOnce(job) });
  let pages = 0;
  let sourceTotal: string | undefined;
  for await (const page of listPages(api, job.contracts, { resolve: dateScope(businessDate) })) {
    pages += 1;
    sourceTotal ??= page.total;
    for (const record of page.records) {
      const contract = plannedContract(record, { job, keep, ordinal: keys.size + 1 });
      if (contract.problem !== null || keys.has(contract.key)) continue;
      keys.add(contract.key);
      expected.add(contract);
    }
  }
  const { p50 } = api.statistics().latencyMs;
  return { contracts: keys.size, pages, sourceTotal, latencyMs: p50, expected };
}

function lines(job: Job, forecast: Forecast): string[] {
  const { contracts, sourceTotal, apis, shortestMs, finishBy, fits, ratesThatFit } = forecast;
  const tooFew = apis.filter(({ api, concurrencyNeeded }) => concurrencyNeeded > job.apis[api]!.limits.concurrency);
  return [
    `${job.name} ${forecast.businessDate}: ${contracts} contracts${sourceTotal === null ? '' : `, and the source counts ${sourceTotal}`}`,
    ...table(
      apis.map(({ api, requests, shortestMs: ms, decidedBy }) => [
        api,
        `at most ${requests} requests`,
        `at least ${spoken(ms)}`,
        `decided by ${decidedBy}`,
      ]),
    ),
    `  the night takes at least ${spoken(shortestMs)}${finishBy === null ? '' : `; started now it ${fits ? 'can be done' : 'CANNOT be done'} by finishBy ${job.finishBy} (${finishBy})`}`,
    ...ratesThatFit.map(({ api, perSecond }) => `  it would fit with ${perSecond} requests per second at ${api}`),
    ...tooFew.map(
      ({ api, concurrencyNeeded }) =>
        `  ${api}: to use its rates up takes ${concurrencyNeeded} in flight, and limits.concurrency is ${job.apis[api]!.limits.concurrency}`,
    ),
  ];
}

const spoken = (ms: number): string =>
  ms < 120_000
    ? `${(ms / 1_000).toFixed(1)} s`
    : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1_000)} s`;
