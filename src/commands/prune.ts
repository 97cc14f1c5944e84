import { hiddenInstances, hideInstance, sweep } from '../ledger/forget.ts';
import { readOldInstances, type OldInstance } from '../ledger/history/old-instances.ts';
import { countOldRefusedStarts, deleteOldRefusedStarts } from '../ledger/history/refused-start.ts';
import { progressMode } from '../observe/progress.ts';
import type { Database } from '../sinks/postgres/postgres.ts';
import { commandLog } from '../session/command-log.ts';
import { openHistory, type DatabaseSelection } from '../session/open-database.ts';
import { writeLines, type Terminal } from '../session/terminal.ts';

export interface PruneOptions extends DatabaseSelection {
  /** Milliseconds. */
  keep: number;
  job?: string;
  dryRun?: boolean;
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
  const outdated = { keepMs: options.keep, job: opened.job };
  const all = await readOldInstances(database, outdated);
  const old = all.filter(({ needed }) => !needed);
  const needed = all.length - old.length;
  const refused = await (options.dryRun ? countOldRefusedStarts : deleteOldRefusedStarts)(database, outdated);
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
    // oxlint-disable-next-line no-await-in-loop -- one instance at a time, to spare the database
    await sweepWithWord(database, { id, what: 'what an earlier prune left', say });
  const forgotten: OldInstance[] = [];
  for (const [index, instance] of old.entries()) {
    const what = `${instance.job} ${instance.businessDate} (${index + 1} of ${old.length})`;
    // oxlint-disable-next-line no-await-in-loop -- one instance at a time, to spare the database
    const outcome = await hideInstance(database, instance.id);
    if (outcome !== 'hidden') {
      say(`${what}: ${outcome === 'gone' ? 'forgotten by somebody else' : 'kept, a run has begun to work on it'}`);
      continue;
    }
    forgotten.push(instance);
    // oxlint-disable-next-line no-await-in-loop -- one instance at a time, to spare the database
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
