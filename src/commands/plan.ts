import { loadJob } from '../config/load-job.ts';
import { businessDateIn, nextTimeOfDay } from '../jobs/business-date.ts';
import type { Job } from '../jobs/job.ts';
import { forecastNight, type NightForecast, type QuotaForecast } from '../jobs/forecast/night-forecast.ts';
import { readNightLedger, type NightLedger } from '../jobs/forecast/night-ledger.ts';
import { settledLine } from '../jobs/settled-concurrency.ts';
import { systemClock } from '../resilience/clock.ts';
import type { ApiHooks } from '../sources/api/api.ts';
import { restLine } from '../sources/api/api-rests-error.ts';
import { commandLog } from '../session/command-log.ts';
import { readIfThere } from '../session/open-database.ts';
import { finishByOf } from '../session/execute-options.ts';
import { table } from '../session/summary.ts';
import { writeJson, writeLines, type Terminal } from '../session/terminal.ts';

export interface PlanOptions {
  json?: boolean;
  date?: string;
  databaseUrl?: string;
  /** `HH:MM` in the job's time zone, or a moment; in place of the job's own. */
  finishBy?: string | Date;
}

/** `nightfill plan`: forecasts tonight's run, with the history of the database. Writes nothing and creates nothing. */
export async function planCommand(file: string, options: PlanOptions, terminal: Terminal): Promise<number> {
  const { directory, environment, stdout, stderr } = terminal;
  const job = await loadJob(file, { directory, environment, onWarning: (line) => writeLines(stderr, [line]) });
  const businessDate = options.date ?? businessDateIn(job.timezone, new Date());
  const ledger = await readLedger(job, { businessDate, options, terminal });
  const finishBy =
    finishByOf(options, job) ??
    (job.finishBy ? nextTimeOfDay(job.finishBy, { timezone: job.timezone, now: new Date() }) : null);
  const onRest: ApiHooks['onRest'] = (rest) => writeLines(stderr, [restLine(rest)]);
  const forecast = await forecastNight(job, { businessDate, finishBy, clock: systemClock, ledger, onRest });
  if (options.json) writeJson(stdout, `${JSON.stringify(forecast, null, 2)}\n`);
  else writeLines(stdout, lines(forecast));
  return 0;
}

/** The history in the database, or the reason why it cannot be read. */
async function readLedger(
  job: Job,
  o: { businessDate: string; options: PlanOptions; terminal: Terminal },
): Promise<NightLedger | { unknown: string }> {
  const { options, terminal, businessDate } = o;
  const { databaseUrl } = options;
  const selection = { database: job.database, ...(databaseUrl !== undefined && { databaseUrl }) };
  return readIfThere(selection, { ...terminal, log: commandLog(terminal) }, async (database) =>
    readNightLedger(database, { job, businessDate }),
  );
}

function lines(forecast: NightForecast): string[] {
  const { job, businessDate, instance, contracts, sourceTotal, apis, shortestMs, finishBy, fits } = forecast;
  const counted = sourceTotal === null ? '' : `, and the source counts ${sourceTotal}`;
  const head = instance
    ? `${contracts} contracts left of ${instance.status === 'planning' ? 'a listing that was cut off' : instance.planned}, ${instance.loaded} loaded`
    : `${contracts} contracts${counted}`;
  const deadline =
    finishBy === null ? '' : `; started now it ${fits ? 'can be done' : 'CANNOT be done'} by finishBy ${finishBy}`;
  if (instance?.status === 'complete') return [`${job} ${businessDate}: complete, nothing to do`];
  return [
    `${job} ${businessDate}: ${head}`,
    ...table(
      apis.map(({ api, requests, shortestMs: ms, decidedBy, latencyMs, latencyFrom }) => [
        api,
        `at most ${requests} requests`,
        `at least ${spoken(ms)}`,
        `decided by ${decidedBy}`,
        `latency ${Math.round(latencyMs)} ms (${latencyFrom})`,
      ]),
    ),
    `  the night takes at least ${spoken(shortestMs)}${deadline}`,
    ...switchLines(forecast),
    ...forecast.ratesThatFit.map(({ api, perSecond }) =>
      perSecond === null
        ? `  ${api}: no rate would make it fit`
        : `  ${api}: it would fit with ${perSecond} requests per second`,
    ),
    ...forecast.concurrencyThatFits.map(({ api, concurrency }) =>
      concurrency === null
        ? `  ${api}: no concurrency would make it fit`
        : `  ${api}: it would fit with ${concurrency} in flight`,
    ),
    ...apis
      .filter(({ concurrency, concurrencyNeeded }) => concurrencyNeeded > concurrency)
      .map(
        ({ api, concurrency, concurrencyNeeded }) =>
          `  ${api}: to use its rates up takes ${concurrencyNeeded} in flight, and limits.concurrency is ${concurrency}`,
      ),
    ...forecast.settled.map((settled) => `  ${settledLine(settled)} (by the last run)`),
    ...forecast.quotas.map(quotaLine),
    ...(forecast.failures.lastRunAbove
      ? [
          `  failures: ${forecast.lastRun!.failed} of ${forecast.lastRun!.contracts} contracts failed in the last run (${forecast.lastRun!.businessDate}); as many again WOULD STOP the night, by failures.stopAbove`,
        ]
      : []),
    ...(forecast.databaseUnknown === null || forecast.quotas.length > 0
      ? []
      : [`  what earlier runs did: unknown (${forecast.databaseUnknown})`]),
  ];
}

function switchLines({ switchOver }: NightForecast): string[] {
  if (switchOver === null) return [];
  const { rows, ms, paceFrom } = switchOver;
  const takes =
    ms === null ? 'an unknown time, for nothing was loaded yet' : `about ${spoken(ms)} (by the ${paceFrom})`;
  return [`  then the switch at the end (commit: run) of ${rows} rows takes ${takes}`];
}

function quotaLine(quota: QuotaForecast): string {
  if ('unknown' in quota) return `  ${quota.api}: quota left: unknown (${quota.unknown})`;
  const { api, day, of, used, reserved, spendable, fits, renewsAt } = quota;
  return `  ${api}: quota left: ${spendable} of ${of} requests for ${day} (${used} used, ${reserved} left for others), ${fits ? 'enough' : `NOT ENOUGH for tonight: the run would stop, and go on when it renews at ${renewsAt}`}`;
}

const spoken = (ms: number): string =>
  ms < 120_000
    ? `${(ms / 1_000).toFixed(1)} s`
    : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1_000)} s`;
