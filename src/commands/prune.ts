import { hiddenInstances, hideInstance, sweep } from '../ledger/forget.ts';
import { progressMode } from '../observe/progress.ts';
import type { Database, Queryable } from '../sinks/postgres/postgres.ts';
import { commandLog } from './command-log.ts';
import { openHistory, type DatabaseSelection } from './open-database.ts';
import { writeLines, type Terminal } from './terminal.ts';

export interface PruneOptions extends DatabaseSelection {
  /** Milliseconds. */
  keep: number;
  job?: string;
  dryRun?: boolean;
}

interface OldInstance {
  id: string;
  job: string;
  businessDate: string;
  runs: number;
}

/** Milliseconds between two lines about one business date. */
const lineEvery = 5_000;

/**
 * `nightfill prune`: forgets the history of business dates older than `keep`; loaded rows and last known values stay.
 * One date after the other, each of them gone for every other command before its many rows are deleted in small steps.
 */
export async function pruneCommand(options: PruneOptions, terminal: Terminal): Promise<number> {
  const { environment, stdout, stderr } = terminal;
  const log = commandLog(terminal);
  const say = (line: string): void =>
    progressMode(stderr, environment) === 'display' ? writeLines(stderr, [line]) : log.info(line);
  await using opened = await openHistory(options, { ...terminal, log });
  const { database } = opened;
  const of = {
    keep: options.keep,
    dryRun: options.dryRun ?? false,
    ...(opened.job !== undefined && { job: opened.job }),
  };
  const { old, needed } = await findOld(database, of);
  const refused = await forgetRefusedStarts(database, of);
  const kept =
    needed === 0
      ? ''
      : `; ${needed} as old ${needed === 1 ? 'stays' : 'stay'}, because a run or a comparison may still need ${needed === 1 ? 'it' : 'them'}`;
  // A date has several: of a sample, of the night, of each `run --again`.
  const summary = (forgotten: readonly OldInstance[]): string => {
    const dates = new Set(forgotten.map(({ job: name, businessDate }) => `${businessDate} ${name}`)).size;
    const runs = forgotten.reduce((sum, one) => sum + one.runs, 0);
    const refusedToo = refused === 0 ? '' : ` and ${counted(refused, 'refused start')}`;
    return `${counted(forgotten.length, 'plan')} of ${counted(dates, 'business date')} with ${counted(runs, 'run')}${refusedToo}${kept}`;
  };
  if (options.dryRun) {
    writeLines(stdout, [`would forget ${summary(old)}`]);
    return 0;
  }
  for (const id of await hiddenInstances(database))
    await sweepWithWord(database, { id, what: 'what an earlier prune left', say });
  const forgotten: OldInstance[] = [];
  for (const [index, instance] of old.entries()) {
    const what = `${instance.job} ${instance.businessDate} (${index + 1} of ${old.length})`;
    const outcome = await hideInstance(database, instance.id);
    if (outcome !== 'hidden') {
      say(`${what}: ${outcome === 'gone' ? 'forgotten by somebody else' : 'kept, a run has begun to work on it'}`);
      continue;
    }
    forgotten.push(instance);
    await sweepWithWord(database, { id: instance.id, what, say });
  }
  writeLines(stdout, [`forgot ${summary(forgotten)}`]);
  return 0;
}

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

async function sweepWithWord(
  database: Database,
  { id, what, say }: { id: string; what: string; say: (line: string) => void },
): Promise<void> {
  const count = new Intl.NumberFormat('en-US');
  let rows = 0;
  let told = performance.now();
  await sweep(database, id, {
    onRows: (more) => {
      rows += more;
      if (performance.now() - told < lineEvery) return;
      told = performance.now();
      say(`${what}: ${count.format(rows)} rows deleted so far`);
    },
  });
  say(`${what}: forgotten, ${count.format(rows)} rows`);
}

async function findOld(
  database: Queryable,
  { keep, job }: PruneOptions,
): Promise<{ old: OldInstance[]; needed: number }> {
  // However old, these stay: one with a run at work; of each job the latest night, which may be unfinished, and the
  // latest planned and the latest complete one, which the next is compared with and whose contracts it looks for; and of
  // each of its targets the latest night or sample that loaded rows, over which no older date may load.
  const latest = (where: string): string => `(SELECT DISTINCT ON (job) id FROM nightfill.instance
     WHERE purpose = 'night' ${where} ORDER BY job, business_date DESC, generation DESC)`;
  const { rows } = await database.query<OldInstance & { needed: boolean }>(
    `WITH needed AS (
       ${latest('')} UNION ${latest(`AND status <> 'planning'`)} UNION ${latest(`AND status = 'complete'`)} UNION
       (SELECT DISTINCT ON (job, target) id FROM nightfill.instance
        WHERE purpose IN ('night', 'sample') AND EXISTS (
          SELECT FROM nightfill.chunk WHERE chunk.instance = instance.id AND inserted + updated + unchanged > 0)
        ORDER BY job, target, business_date DESC, generation DESC) UNION
       SELECT run.instance FROM nightfill.run JOIN nightfill.lease ON lease.run = run.id AND lease.expires_at > now()
     )
     SELECT id, job, to_char(business_date, 'YYYY-MM-DD') AS "businessDate", id IN (SELECT id FROM needed) AS needed,
       (SELECT count(*) FROM nightfill.run WHERE run.instance = instance.id)::integer AS runs
     FROM nightfill.instance
     WHERE business_date < current_date - make_interval(secs => $1) AND ($2::text IS NULL OR job = $2)
     ORDER BY business_date, job, id`,
    [keep / 1_000, job ?? null],
  );
  return { old: rows.filter((row) => !row.needed), needed: rows.filter((row) => row.needed).length };
}

async function forgetRefusedStarts(database: Queryable, { keep, job, dryRun }: PruneOptions): Promise<number> {
  const old = `FROM nightfill.refused_start
     WHERE refused_at < now() - make_interval(secs => $1) AND ($2::text IS NULL OR job = $2)`;
  const { rows } = await database.query<{ refused: number }>(
    dryRun
      ? `SELECT count(*)::integer AS refused ${old}`
      : `WITH gone AS (DELETE ${old} RETURNING 1) SELECT count(*)::integer AS refused FROM gone`,
    [keep / 1_000, job ?? null],
  );
  return rows[0]!.refused;
}
