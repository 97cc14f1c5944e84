import { CommanderError, type Command } from 'commander';
import { ownTerminal, writeLines, writeText, type Terminal } from './session/terminal.ts';
import { EnvironmentCommand } from './cli/environment-command.ts';
import { addRerun, addRun } from './cli/execution.ts';
import { addHistory } from './cli/history.ts';
import type { Finish } from './cli/options.ts';
import { addSchedule } from './cli/schedule.ts';
import { addSetup } from './cli/setup.ts';
import { addSimulation } from './cli/simulation.ts';
import { exitCodeOf } from './exit-code.ts';
import { holdsPassword } from './sinks/postgres/database-url.ts';
import { version } from './version.ts';

/**
 * Runs the command that `arguments_` name and gives its exit code. A command's code is loaded when it is called: help is
 * there at once, and `run` does not wait for what only `demo` needs.
 */
export async function main(arguments_: readonly string[], terminal: Terminal = ownTerminal()): Promise<number> {
  let exitCode = 0;
  const finish = (code: number): void => void (exitCode = code);
  try {
    await program(terminal, finish).parseAsync(arguments_, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    return exitCodeOf(error, terminal);
  }
}

/** The commander program. `finish` gets the exit code of the command that was called. */
export function program(terminal: Terminal, finish: Finish): Command {
  const nightfill = new EnvironmentCommand('nightfill', terminal.environment)
    .description(
      "Nightly batch ETL: CRM contracts, enriched under the APIs' limits, loaded into Postgres, with a report that ties out.",
    )
    .version(version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => writeText(terminal.stdout, text),
      writeErr: (text) => writeText(terminal.stderr, text),
      // It quotes arguments, which may have line breaks of their own.
      outputError: (text) => writeLines(terminal.stderr, text.trimEnd().split(/\n(?=\(Did you mean )/)),
    })
    .hook('preAction', (_, command) => warnOfPassword(command, terminal))
    .showHelpAfterError('(nightfill --help shows the commands)')
    .addHelpText('after', exitCodes);
  addRun(nightfill, terminal, finish);
  addRerun(nightfill, terminal, finish);
  addSchedule(nightfill, terminal, finish);
  addHistory(nightfill, terminal, finish);
  addSetup(nightfill, terminal, finish);
  addSimulation(nightfill, terminal, finish);
  return nightfill;
}

const exitCodes = `
Exit codes:
  0  every contract loaded, every control passed; or nothing to do
  1  aborted by an unexpected error, or the listing failed
  2  usage, configuration or credentials: nothing was started
  3  partial: some contracts failed, everything else is committed; rerun can mend it
  4  a control failed: data is loaded, and the figures do not tie out
  5  another run of this job holds the lock
  6  stopped on purpose (deadline, quota, or an API that asks to wait longer than the night has, or stays
     down); resumable, and the report says when
  130, 143  stopped by SIGINT, SIGTERM; resumable

Every option can come from an environment variable: --if-running from NIGHTFILL_IF_RUNNING.`;

/** What is typed is read by others; `databaseUrl` is only ever typed, because variables are looked up elsewhere. */
function warnOfPassword(command: Command, { stderr }: Terminal): void {
  const { databaseUrl: typed = '' } = command.opts<{ databaseUrl?: string }>();
  if (!holdsPassword(typed)) return;
  writeLines(stderr, [
    'nightfill: the password in --database-url is seen by everybody who may list the processes of this machine, and stays in the history of the shell; put the whole URL into DATABASE_URL, or leave the password out and put it into PGPASSWORD or ~/.pgpass',
  ]);
}
