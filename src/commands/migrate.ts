import { renameJob } from '../ledger/history/rename-job.ts';
import { migrate } from '../ledger/migrations.ts';
import { commandLog } from '../session/command-log.ts';
import { loadJobHeader } from '../config/load-job-header.ts';
import { openDatabase, type DatabaseSelection } from '../session/open-database.ts';
import { writeLines, type Terminal } from '../session/terminal.ts';

export interface MigrateOptions extends DatabaseSelection {
  /** A job file, which may pin the database. */
  job?: string;
  renameJob?: { from: string; to: string };
}

/** `nightfill migrate`: upgrades the `nightfill` schema and lists the applied migrations; `--rename-job` then gives a job's history another name. */
export async function migrateCommand(options: MigrateOptions, terminal: Terminal): Promise<number> {
  const { stdout } = terminal;
  const file = options.job === undefined ? undefined : await loadJobHeader(options.job, terminal);
  await using opened = await openDatabase(
    { ...options, database: file?.database, migrate: 'later' },
    { ...terminal, log: commandLog(terminal) },
  );
  const { applied } = await migrate(opened.database);
  writeLines(stdout, [applied.length === 0 ? 'the nightfill schema is up to date' : `applied ${applied.join(', ')}`]);
  if (options.renameJob) {
    const { from, to } = options.renameJob;
    const { nights } = await renameJob(opened.database, options.renameJob);
    writeLines(stdout, [`nights of ${from} given to ${to}, with what is known of its contracts: ${nights}`]);
  }
  return 0;
}
