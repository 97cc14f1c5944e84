import { migrate } from '../sinks/migrations.ts';
import { commandLog } from './command-log.ts';
import { openDatabase, type DatabaseSelection } from './open-database.ts';
import type { Terminal } from './terminal.ts';

/** `nightfill migrate`: brings the `nightfill` schema up to date and names what was applied. */
export async function migrateCommand(options: DatabaseSelection, terminal: Terminal): Promise<number> {
  const { environment, stdout } = terminal;
  await using opened = await openDatabase({ ...options, migrate: 'later' }, { environment, log: commandLog(terminal) });
  const { applied } = await migrate(opened.database);
  stdout.write(applied.length === 0 ? 'the nightfill schema is up to date\n' : `applied ${applied.join(', ')}\n`);
  return 0;
}
