import { CommanderError, Help, InvalidArgumentError, Option, type Command } from 'commander';
import type { checkCommand } from './commands/check.ts';
import type { demoCommand } from './commands/demo.ts';
import type { runsCommand } from './commands/history.ts';
import type { migrateCommand } from './commands/migrate.ts';
import type { planCommand } from './commands/plan.ts';
import type { pruneCommand } from './commands/prune.ts';
import type { reportCommand } from './commands/report.ts';
import type { rerunCommand } from './commands/rerun.ts';
import type { runCommand } from './commands/run.ts';
import type { scheduleCommand } from './commands/schedule.ts';
import type { showCommand } from './commands/show.ts';
import type { simulateCommand } from './commands/simulate.ts';
import { ownTerminal, writeLines, writeText, type Terminal } from './commands/terminal.ts';
import {
  durationOption,
  finishByOption,
  integerList,
  isoDate,
  latencyOption,
  mailAddress,
  positiveInteger,
  rateOption,
  renameOption,
} from './cli-values.ts';
import { EnvironmentCommand } from './environment-command.ts';
import { exitCodeOf } from './exit-code.ts';
import { faultNames, parseFaults } from './simulator/faults.ts';
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

type Finish = (exitCode: number) => void;

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
  1  aborted by an unexpected error
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

/** An option that NIGHTFILL_… can set as well. */
function option(flags: string, description: string): Option {
  const made = new Option(flags, description);
  return made.env(`NIGHTFILL_${made.long!.replace(/^--/, '').replaceAll('-', '_').toUpperCase()}`);
}

// Not by `option`: what a variable says must be told from what was typed, because a job file that pins its database
// overrides the one and contradicts the other.
const databaseUrl = (): Option =>
  new Option(
    '--database-url <url>',
    'the PostgreSQL to use when the job file pins none (default: NIGHTFILL_DATABASE_URL, DATABASE_URL, PG* variables, else the embedded one)',
  );
const jobOption = (description: string): Option =>
  option('--job <job>', `${description}; its name, or its file, which may pin the database`);
const noMigrate = (): Option =>
  option('--no-migrate', 'fail when the nightfill schema is not current instead of upgrading it');
const finishBy = (): Option =>
  option(
    '--finish-by <time>',
    "the deadline, 06:00 or 2026-11-22T06:00:00+01:00, instead of the job's finishBy",
  ).argParser(finishByOption);

/** Help behind the options: what the command does in more words, and examples of how it is called. */
const about = (text: string, ...examples: string[]): string =>
  `\n${new Help().boxWrap(text, 80)}\n\nExamples:\n${examples.map((line) => `  $ ${line}`).join('\n')}`;

const executionOptions = (command: Command): Command =>
  command
    .addOption(option('--report <file>', 'where the report is written (default: reports/JOB-DATE.json)'))
    .addOption(option('--json', 'print the report instead of a summary'))
    .addOption(
      option('--if-running <what>', 'what to do while another run of the job is at work')
        .choices(['fail', 'skip', 'wait'])
        .default('fail'),
    )
    .addOption(
      option('--grace <duration>', 'how long chunks under way may take after the first SIGINT or SIGTERM')
        .argParser(durationOption)
        .default(30_000, '30s'),
    )
    .addOption(finishBy())
    .addOption(
      option('--database-wait <duration>', 'how long to wait for a database that is not up yet, or went away')
        .argParser(durationOption)
        .default(120_000, '2m'),
    )
    .addOption(option('--over-newer', 'load an older date although the target has rows of a newer one'))
    .addOption(
      option(
        '--trigger <what>',
        'what started the run, for the report; only a manual run falls back to the embedded database',
      )
        .choices(['manual', 'cron', 'schedule', 'worker'])
        .default('manual'),
    )
    .addOption(databaseUrl())
    .addOption(noMigrate());

function addRun(nightfill: Command, terminal: Terminal, finish: Finish): void {
  executionOptions(
    nightfill
      .command('run')
      .argument('<job>', 'the job file')
      .description('run a job for its business date, or continue what an earlier run left unfinished')
      .addOption(
        option('--date <date>', "business date, YYYY-MM-DD (default: today in the job's time zone)").argParser(isoDate),
      )
      .addOption(
        option('--limit <n>', 'only the first N contracts: a sample with a history of its own').argParser(
          positiveInteger,
        ),
      )
      .addOption(option('--dry-run', 'do everything, then take the rows back; the target is unchanged'))
      .addOption(option('--again', 'plan the date anew although it is complete')),
  )
    .addHelpText(
      'after',
      about(
        'An unfinished date is continued. A complete one has nothing to do: exit code 0, or 4 when its controls failed; --again plans it anew. A date older than one that is already loaded is refused unless --over-newer is given. --limit takes a sample, which does not make the date complete. --dry-run really asks the APIs and really loads, and takes every row back.',
        'nightfill run jobs/contract-enrichment.yaml',
        'nightfill run jobs/contract-enrichment.yaml --date 2026-11-20 --json > report.json',
        'nightfill run jobs/contract-enrichment.yaml --limit 20 --dry-run',
      ),
    )
    .action(async (job: string, options: Parameters<typeof runCommand>[1]) =>
      finish(await (await import('./commands/run.ts')).runCommand(job, options, terminal)),
    );
}

function addSchedule(nightfill: Command, terminal: Terminal, finish: Finish): void {
  nightfill
    .command('schedule')
    .argument('<job...>', 'job files')
    .description('stay up and run jobs at their schedule')
    .addOption(
      option('--print <kind>', 'print the entries for another scheduler, and end').choices(['crontab', 'systemd']),
    )
    .addOption(
      option('--env-file <file>', "for printed entries: the file with the job's variables").default('secrets.env'),
    )
    .addOption(
      option('--mail-to <address>', 'for printed entries: who gets mail when a night did not end well').argParser(
        mailAddress,
      ),
    )
    .addOption(option('--next <n>', 'print the next N starts of each job, and end').argParser(positiveInteger))
    .addHelpText(
      'after',
      about(
        'Each run is a process of its own, started with --if-running skip for the business date on which it was due. SIGINT and SIGTERM are passed on to the runs, and schedule ends when they have ended.',
        'nightfill schedule jobs/contract-enrichment.yaml',
        'nightfill schedule jobs/contract-enrichment.yaml --next 5',
        'nightfill schedule jobs/*.yaml --print systemd',
      ),
    )
    .action(async (jobs: string[], options: Parameters<typeof scheduleCommand>[1]) =>
      finish(await (await import('./commands/schedule.ts')).scheduleCommand(jobs, options, terminal)),
    );
}

function addRerun(nightfill: Command, terminal: Terminal, finish: Finish): void {
  executionOptions(
    nightfill
      .command('rerun')
      .argument('[run]', "a run's id, its beginning, or latest", 'latest')
      .description('fetch and load again only what failed or never started; never lists again')
      .addOption(option('--chunk <numbers>', 'only these chunks, for example 3,7').argParser(integerList))
      .addOption(option('--whole-chunks', 'also fetch the contracts of those chunks that were loaded'))
      .addOption(option('--only <what>', 'which failures to fetch again').choices(['transient', 'all']).default('all'))
      .addOption(jobOption('the job whose latest run is meant')),
  )
    .addHelpText(
      'after',
      about(
        "Works from the stored plan of the run's date, and reads that run's job file again. Without --chunk, all chunks with something left are taken. A date whose listing was cut off is refused, because run continues it.",
        'nightfill rerun latest',
        'nightfill rerun latest --chunk 3,7 --only transient',
      ),
    )
    .action(async (run: string, options: Parameters<typeof rerunCommand>[1]) =>
      finish(await (await import('./commands/rerun.ts')).rerunCommand(run, options, terminal)),
    );
}

function addHistory(nightfill: Command, terminal: Terminal, finish: Finish): void {
  const reading = (command: Command): Command =>
    command.addOption(jobOption('only of this job')).addOption(databaseUrl()).addOption(noMigrate());
  reading(nightfill.command('runs').description('list the latest runs and refused starts, newest first'))
    .addOption(option('--json', 'as JSON'))
    .addOption(option('--limit <n>', 'how many to list').argParser(positiveInteger).default(20))
    .addHelpText(
      'after',
      about(
        'One line per run; loaded and failed are of that run, not of the whole date. Refused starts (exit code 2) are listed with their code. A running run with the note "no heartbeat since" is dead: the next run of the job takes its work over.',
        'nightfill runs',
        'nightfill runs --job contract-enrichment --json',
      ),
    )
    .action(async (options: Parameters<typeof runsCommand>[0]) =>
      finish(await (await import('./commands/history.ts')).runsCommand(options, terminal)),
    );
  reading(nightfill.command('show').argument('[run]', "a run's id or latest", 'latest'))
    .description('show one run with its chunks, its failures and the controls that failed')
    .addOption(option('--json', 'as JSON'))
    .addHelpText(
      'after',
      about(
        'The run, the controls of its report that failed, then the chunks and failures of its date as they are now. Of more than 50 chunks or failures the first 50 are shown; --json has all.',
        'nightfill show latest',
        'nightfill show 019a3c55 --json',
      ),
    )
    .action(async (run: string, options: Parameters<typeof showCommand>[1]) =>
      finish(await (await import('./commands/show.ts')).showCommand(run, options, terminal)),
    );
  reading(nightfill.command('report').argument('[run]', "a run's id or latest", 'latest'))
    .description("write a run's report")
    .addOption(option('--format <format>', 'the format of the report').choices(['json']).default('json'))
    .addOption(option('-o, --output <file>', 'write to this file instead of standard output'))
    .addHelpText(
      'after',
      about(
        'The stored report, byte for byte. A run that crashed has none; the run that continued it has.',
        'nightfill report latest --format json -o report.json',
      ),
    )
    .action(async (run: string, options: Parameters<typeof reportCommand>[1]) =>
      finish(await (await import('./commands/report.ts')).reportCommand(run, options, terminal)),
    );
}

function addSetup(nightfill: Command, terminal: Terminal, finish: Finish): void {
  nightfill
    .command('check')
    .argument('<job>', 'the job file')
    .description('validate the file, the database, the credentials and one request per API; writes nothing')
    .addOption(databaseUrl())
    .addHelpText(
      'after',
      about(
        'Asks for one page of the listing and for the lookups of its first contract, then tries the schema, the target and the load of that contract, and takes all of it back. Names everything that is wrong at once; exit code 2 when anything is.',
        'nightfill check jobs/contract-enrichment.yaml',
      ),
    )
    .action(async (job: string, options: Parameters<typeof checkCommand>[1]) =>
      finish(await (await import('./commands/check.ts')).checkCommand(job, options, terminal)),
    );
  nightfill
    .command('plan')
    .argument('<job>', 'the job file')
    .description('say what tonight would take: contracts, requests, the shortest time; writes nothing')
    .addOption(
      option('--date <date>', "business date, YYYY-MM-DD (default: today in the job's time zone)").argParser(isoDate),
    )
    .addOption(finishBy())
    .addOption(databaseUrl())
    .addOption(option('--json', 'as JSON'))
    .addHelpText(
      'after',
      about(
        'Asks for the whole listing, unless the plan of the date is stored, and for no lookup. The exit code is 0 whether the night fits or not; scripts read fits in --json.',
        'nightfill plan jobs/contract-enrichment.yaml',
      ),
    )
    .action(async (job: string, options: Parameters<typeof planCommand>[1]) =>
      finish(await (await import('./commands/plan.ts')).planCommand(job, options, terminal)),
    );
  nightfill
    .command('init')
    .argument('[dir]', 'the folder to write to', '.')
    .description('write a commented job file to start from')
    .addHelpText('after', about('Writes contract-enrichment.yaml, never over an existing file.', 'nightfill init jobs'))
    .action(async (directory: string) =>
      finish(await (await import('./commands/init.ts')).initCommand(directory, terminal)),
    );
  nightfill
    .command('prune')
    .description('delete the history of old business dates, in small steps; loaded rows stay')
    .addOption(
      option('--keep <age>', 'delete business dates older than this, for example 400d')
        .argParser(durationOption)
        .makeOptionMandatory(),
    )
    .addOption(jobOption('only of this job'))
    .addOption(option('--dry-run', 'only say how much would be deleted'))
    .addOption(databaseUrl())
    .addOption(noMigrate())
    .addHelpText(
      'after',
      about(
        'Loaded rows and last known values stay. So do nights that a later run needs, however old. When it is interrupted, the next prune goes on where it stopped.',
        'nightfill prune --keep 400d',
      ),
    )
    .action(async (options: Parameters<typeof pruneCommand>[0]) =>
      finish(await (await import('./commands/prune.ts')).pruneCommand(options, terminal)),
    );
  nightfill
    .command('migrate')
    .description('create or upgrade the nightfill schema; run does so too')
    .addOption(new Option('--job <file>', 'a job file, which may pin the database'))
    .addOption(
      new Option('--rename-job <old=new>', 'give the history of the job OLD to the name NEW').argParser(renameOption),
    )
    .addOption(databaseUrl())
    .addHelpText(
      'after',
      about(
        'For the owner of a database in which the role of the job may not create a schema. Prints what was applied.',
        'nightfill migrate --database-url postgres://etl@db.example/night',
        'nightfill migrate --rename-job contracts=contract-enrichment',
      ),
    )
    .action(async (options: Parameters<typeof migrateCommand>[0]) =>
      finish(await (await import('./commands/migrate.ts')).migrateCommand(options, terminal)),
    );
}

function addSimulation(nightfill: Command, terminal: Terminal, finish: Finish): void {
  const simulated = (command: Command): Command =>
    command
      .addOption(option('--contracts <n>', 'how many contracts').argParser(positiveInteger).default(2_000))
      .addOption(option('--seed <n>', 'a different seed gives different records').argParser(positiveInteger).default(1))
      .addOption(
        option('--latency <range>', 'how long an answer takes: 100ms or 80ms-160ms')
          .argParser(latencyOption)
          .default({ min: 80, max: 120 }, '80ms-120ms'),
      )
      .addOption(
        option('--rate <rate>', 'the limit that each API enforces')
          .argParser(rateOption)
          .default({ requests: 100, per: 1_000 }, '100/1s'),
      )
      .addOption(option('--faults <shares>', 'which faults, for example flaky=0.05,dead=0.01').argParser(faultsOption));
  simulated(nightfill.command('demo'))
    .description('run the main job against simulated APIs and the embedded database')
    .addOption(option('--rerun', 'fetch what is left of the latest demo from APIs that have recovered'))
    .addOption(option('--report <file>', 'where the report is written'))
    .addOption(option('--json', 'the report on standard output'))
    .addHelpText(
      'after',
      about(
        'Uses the embedded database in .nightfill/postgres whatever the environment names, and plans the date anew each time. Faults are listed at nightfill simulate --help.',
        'nightfill demo',
        'nightfill demo --contracts 500 --faults flaky=0.05,missing=0.01',
      ),
    )
    .action(async (options: Parameters<typeof demoCommand>[0]) =>
      finish(await (await import('./commands/demo.ts')).demoCommand(options, terminal)),
    );
  simulated(nightfill.command('simulate'))
    .description('serve the simulated APIs alone')
    .addOption(
      option('--port <n>', "the CRM's port; the usage API takes the next (default: free ones)").argParser(
        positiveInteger,
      ),
    )
    .addHelpText(
      'after',
      about(
        `Prints the variables to set, then serves until Ctrl-C. Faults, each with a share of 0 to 1 or in percent: ${faultNames.join(', ')}.`,
        'nightfill simulate --port 4010 --faults hanging=0.01,malformed=0.01',
      ),
    )
    .action(async (options: Parameters<typeof simulateCommand>[0]) =>
      finish(await (await import('./commands/simulate.ts')).simulateCommand(options, terminal)),
    );
}

function faultsOption(text: string): ReturnType<typeof parseFaults> {
  try {
    return parseFaults(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}
