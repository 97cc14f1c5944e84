import { loadJob } from '../config/load-job.ts';
import { businessDateIn } from '../jobs/business-date.ts';
import { enrichContract } from '../jobs/enrich/contract.ts';
import { Lookups } from '../jobs/enrich/lookups.ts';
import { listedFieldKeeper, summedColumns } from '../jobs/load/amounts.ts';
import type { Job } from '../jobs/job.ts';
import { formerWriterNote } from '../jobs/former-writer.ts';
import type { PlannedContract } from '../ledger/planned-contract.ts';
import { dateScope } from '../jobs/plan/date-scope.ts';
import { plannedContract } from '../jobs/plan/list-contracts.ts';
import { startTransform } from '../jobs/enrich/transform.ts';
import { systemClock } from '../resilience/clock.ts';
import { TaskMetrics } from '../resilience/task-metrics.ts';
import { migrate, pendingMigrations } from '../ledger/migrations.ts';
import type { Database } from '../sinks/postgres/postgres.ts';
import { inspectTarget, type TargetTable } from '../sinks/target/target-table.ts';
import { tryLoad, tryRow } from '../sinks/target/try-load.ts';
import { Api, type ApiHooks } from '../sources/api/api.ts';
import { listPages } from '../sources/listing/paginate.ts';
import { readSettled, settledLine } from '../jobs/settled-concurrency.ts';
import { restLine } from '../sources/api/api-rests-error.ts';
import { commandLog } from '../session/command-log.ts';
import { openDatabase, type DatabaseSelection } from '../session/open-database.ts';
import { secretsOf } from '../session/secrets.ts';
import { writeLines, type Terminal } from '../session/terminal.ts';

/** `nightfill check`: reports every problem at once; exit code 2 when there is one. */
export async function checkCommand(file: string, options: DatabaseSelection, terminal: Terminal): Promise<number> {
  const { directory, environment, stdout, stderr } = terminal;
  const say = (line: string): void => writeLines(stdout, [line]);
  const job = await loadJob(file, { directory, environment, onWarning: (line) => writeLines(stderr, [line]) });
  say(`ok    ${file} describes ${job.name}: ${job.lookups.length} lookups, ${job.load.columns.length} columns`);

  const problems: string[] = [];
  const attempt = async <T>(task: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await task();
    } catch (error) {
      problems.push((error as Error).message);
      return undefined;
    }
  };
  await using stack = new AsyncDisposableStack();
  const log = commandLog(terminal, secretsOf(job));
  const opened = await attempt(async () =>
    openDatabase({ ...options, database: job.database, migrate: 'later' }, { ...terminal, log }),
  );
  if (opened) stack.use(opened);
  const target = opened && (await attempt(async () => checkDatabase(opened.database, job, { say, problems })));
  await checkApis(job, { target, database: opened?.database, say, problems });

  const settled = opened ? await readSettled(opened.database, job).catch(() => []) : [];
  for (const one of settled) say(`note  ${settledLine(one)} (by the last run)`);
  for (const problem of problems) say(`WRONG ${problem}`);
  return problems.length === 0 ? 0 : 2;
}

interface Findings {
  say: (line: string) => void;
  problems: string[];
}

/** The target, and whether a load without a row succeeded. */
interface TriedTarget {
  table: TargetTable;
  exists: boolean;
  takesLoads: boolean;
}

/** Checks connection, privileges, the ledger's schema and the target; everything is rolled back. */
async function checkDatabase(
  database: Database,
  job: Job,
  { say, problems }: Findings,
): Promise<TriedTarget | undefined> {
  const pending = await pendingMigrations(database);
  const found = problems.length;
  if (pending.length === 0) tryWriting(database, problems);
  if (pending.length > 0) await tryMigrations(database, problems);
  const { table, exists } = await database.withTransaction(async (client) => {
    const inspection = await inspectTarget(client, job.load);
    problems.push(...inspection.problems.map(({ message }) => message));
    const { table: target, exists } = inspection;
    const refused = inspection.problems.length === 0 && target && (await tryLoad(client, { table: target, exists }));
    if (refused) problems.push(refused.message);
    return inspection;
  });
  const former = pending.length === 0 ? await formerWriterNote(database, job) : undefined;
  if (former !== undefined) say(`note  ${former}`);
  if (problems.length === found)
    say(
      `ok    ${database.description}; ${job.load.table.schema}.${job.load.table.name} ${exists ? 'fits' : 'will be created'}${pending.length > 0 ? '; the nightfill schema will be upgraded' : ''}`,
    );
  return table && { table, exists, takesLoads: problems.length === found };
}

function tryWriting(database: Database, problems: string[]): void {
  try {
    database.requireWritable();
  } catch (error) {
    problems.push((error as Error).message);
  }
}

async function tryMigrations(database: Database, problems: string[]): Promise<void> {
  try {
    await migrate(database, { rehearse: true });
  } catch (error) {
    problems.push((error as Error).message);
  }
}

/** Tries one page of the listing, the lookups of its first contract, and the load of its row, which is rolled back. */
async function checkApis(
  job: Job,
  { target, database, say, problems }: Findings & { target: TriedTarget | undefined; database: Database | undefined },
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  // With a run's retries: an answer that is right when it is asked again does not fail a run.
  const onRest: ApiHooks['onRest'] = (rest) => say(`      ${restLine(rest)}`);
  const apis = new Map(
    Object.values(job.apis).map((options) => [options.name, stack.use(new Api(options, { onRest }))]),
  );
  const signal = new AbortController().signal;
  const deadline = systemClock.now() + longestRest;
  const businessDate = businessDateIn(job.timezone, new Date());
  const first = await firstContract(job, { api: apis.get(job.contracts.api)!, businessDate, deadline, problems });
  if (!first) return;
  say(`ok    API ${job.contracts.api} lists contracts; the first is ${first.key}`);
  if (!target || !database) {
    say('      lookups are not tried, because without the database their answers cannot be mapped');
    return;
  }
  try {
    const transform = job.transform && stack.use(await startTransform(job.transform));
    const strict = withoutFallbacks(job);
    const lookups = new Lookups({
      job: strict,
      businessDate,
      apis,
      bounds: { signal, deadline },
      metrics: new TaskMetrics(),
      transform,
      lastKnown: async () => Promise.resolve(undefined),
    });
    const result = await enrichContract(first, { job: strict, target: target.table, lookups });
    if (result.status === 'not-started') problems.push(result.rests.message);
    else if (result.status === 'failed') problems.push(`contract ${first.key}: ${result.failure.message}`);
    else if (!target.takesLoads)
      say(
        `ok    contract ${first.key} is enriched; its row is not tried, because the target cannot be loaded as it is`,
      );
    else {
      const { row } = result;
      const refused = await database.withTransaction(async (client) =>
        tryRow(client, target, { row, sums: summedColumns(job) }),
      );
      if (refused === undefined) say(`ok    contract ${first.key} is enriched and fits ${job.load.table.name}`);
      else problems.push(`contract ${first.key}: ${refused}`);
    }
  } catch (error) {
    problems.push((error as Error).message);
  }
}

/** Milliseconds to wait for an API that pauses. */
const longestRest = 120_000;

// A fallback would hide the failure that check looks for.
const withoutFallbacks = (job: Job): Job => ({
  ...job,
  lookups: job.lookups.map((lookup) => ({ ...lookup, onFailure: 'fail' as const })),
});

async function firstContract(
  job: Job,
  { api, businessDate, deadline, problems }: { api: Api; businessDate: string; deadline: number; problems: string[] },
): Promise<PlannedContract | undefined> {
  try {
    for await (const { records } of listPages(api, job.contracts, {
      resolve: dateScope(businessDate),
      deadline,
    })) {
      if (records[0] !== undefined)
        return plannedContract(records[0], { job, keep: listedFieldKeeper(job), ordinal: 1 });
      break;
    }
    problems.push(`API ${job.contracts.api} lists no contract, so nothing more can be tried`);
  } catch (error) {
    problems.push((error as Error).message);
  }
  return undefined;
}
