import { CommanderError, InvalidArgumentError, Option, type Command } from 'commander';
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
import { parseFaults } from './simulator/faults.ts';
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

function program(terminal: Terminal, finish: Finish): Command {
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
    'PostgreSQL to use, where the job file pins none; else NIGHTFILL_DATABASE_URL, DATABASE_URL, PG* variables, or the embedded one',
  );
const jobOption = (description: string): Option =>
  option('--job <job>', `${description}; its name, or its file, which may pin the database`);
const noMigrate = (): Option =>
  option('--no-migrate', 'fail when the nightfill schema is not current, instead of upgrading it');
const finishBy = (): Option =>
  option(
    '--finish-by <time>',
    "when to have ended, 06:00 or 2026-11-22T06:00:00+01:00, in place of the job's own",
  ).argParser(finishByOption);
const example = (...lines: string[]): string => `\nExamples:\n${lines.map((line) => `  $ ${line}`).join('\n')}`;

const executionOptions = (command: Command): Command =>
  command
    .addOption(option('--report <file>', 'where the report is written (default: reports/JOB-DATE.json)'))
    .addOption(option('--json', 'the report on standard output instead of a summary'))
    .addOption(
      option('--if-running <what>', 'when another run of the job is at work')
        .choices(['fail', 'skip', 'wait'])
        .default('fail'),
    )
    .addOption(
      option('--grace <duration>', 'time for what is in flight after the first SIGINT or SIGTERM')
        .argParser(durationOption)
        .default(30_000, '30s'),
    )
    .addOption(finishBy())
    .addOption(
      option('--database-wait <duration>', 'how long a run waits for a database that is not up yet, or went away')
        .argParser(durationOption)
        .default(120_000, '2m'),
    )
    .addOption(option('--over-newer', 'load an older date although rows of a newer one stand in the target'))
    .addOption(
      option(
        '--trigger <what>',
        'what the report says started the run; only a manual one falls back to the embedded database',
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
        option('--limit <n>', 'only the first N contracts: a sample, apart from the night').argParser(positiveInteger),
      )
      .addOption(option('--dry-run', 'do everything and take the rows back; the target stays as it is'))
      .addOption(option('--again', 'plan the date anew although it is complete')),
  )
    .addHelpText(
      'after',
      example(
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
    .addOption(option('--print <kind>', 'print entries for another scheduler instead').choices(['crontab', 'systemd']))
    .addOption(
      option('--env-file <file>', "for printed entries: the file with the job's variables").default('secrets.env'),
    )
    .addOption(
      option('--mail-to <address>', 'for printed entries: who is told when a night did not end well').argParser(
        mailAddress,
      ),
    )
    .addOption(option('--next <n>', 'print the next N starts of each job instead').argParser(positiveInteger))
    .addHelpText(
      'after',
      example(
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
      .addOption(option('--whole-chunks', 'also the contracts of those chunks that were loaded'))
      .addOption(option('--only <what>', 'which failures').choices(['transient', 'all']).default('all'))
      .addOption(jobOption('the job whose latest run is meant')),
  )
    .addHelpText('after', example('nightfill rerun latest', 'nightfill rerun latest --chunk 3,7 --only transient'))
    .action(async (run: string, options: Parameters<typeof rerunCommand>[1]) =>
      finish(await (await import('./commands/rerun.ts')).rerunCommand(run, options, terminal)),
    );
}

function addHistory(nightfill: Command, terminal: Terminal, finish: Finish): void {
  const reading = (command: Command): Command =>
    command.addOption(jobOption('only of this job')).addOption(databaseUrl()).addOption(noMigrate());
  reading(nightfill.command('runs').description('list the latest runs and refused starts, newest first'))
    .addOption(option('--json', 'as JSON'))
    .addOption(option('--limit <n>', 'how many').argParser(positiveInteger).default(20))
    .addHelpText('after', example('nightfill runs', 'nightfill runs --job contract-enrichment --json'))
    .action(async (options: Parameters<typeof runsCommand>[0]) =>
      finish(await (await import('./commands/history.ts')).runsCommand(options, terminal)),
    );
  reading(nightfill.command('show').argument('[run]', "a run's id or latest", 'latest'))
    .description('show one run with its chunks, its failures and the controls that failed')
    .addOption(option('--json', 'as JSON'))
    .addHelpText('after', example('nightfill show latest', 'nightfill show 019a3c55 --json'))
    .action(async (run: string, options: Parameters<typeof showCommand>[1]) =>
      finish(await (await import('./commands/show.ts')).showCommand(run, options, terminal)),
    );
  reading(nightfill.command('report').argument('[run]', "a run's id or latest", 'latest'))
    .description("write a run's report")
    .addOption(option('--format <format>', "the report's form").choices(['json']).default('json'))
    .addOption(option('-o, --output <file>', 'a file instead of standard output'))
    .addHelpText('after', example('nightfill report latest --format json -o report.json'))
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
    .addHelpText('after', example('nightfill check jobs/contract-enrichment.yaml'))
    .action(async (job: string, options: Parameters<typeof checkCommand>[1]) =>
      finish(await (await import('./commands/check.ts')).checkCommand(job, options, terminal)),
    );
  nightfill
    .command('plan')
    .argument('<job>', 'the job file')
    .description('list, and say what tonight would take: contracts, requests, the shortest time; writes nothing')
    .addOption(option('--date <date>', 'business date, YYYY-MM-DD').argParser(isoDate))
    .addOption(finishBy())
    .addOption(databaseUrl())
    .addOption(option('--json', 'as JSON'))
    .addHelpText('after', example('nightfill plan jobs/contract-enrichment.yaml'))
    .action(async (job: string, options: Parameters<typeof planCommand>[1]) =>
      finish(await (await import('./commands/plan.ts')).planCommand(job, options, terminal)),
    );
  nightfill
    .command('init')
    .argument('[dir]', 'the folder', '.')
    .description('write a commented job file to start from')
    .addHelpText('after', example('nightfill init jobs'))
    .action(async (directory: string) =>
      finish(await (await import('./commands/init.ts')).initCommand(directory, terminal)),
    );
  nightfill
    .command('prune')
    .description('forget the history of old business dates, in bounded steps; loaded rows stay')
    .addOption(
      option('--keep <age>', 'how old a business date may be, for example 400d')
        .argParser(durationOption)
        .makeOptionMandatory(),
    )
    .addOption(jobOption('only of this job'))
    .addOption(option('--dry-run', 'only say how much it would be'))
    .addOption(databaseUrl())
    .addOption(noMigrate())
    .addHelpText('after', example('nightfill prune --keep 400d'))
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
      example(
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
      .addOption(option('--seed <n>', 'another seed, other records').argParser(positiveInteger).default(1))
      .addOption(
        option('--latency <range>', 'of an answer: 100ms or 80ms-160ms')
          .argParser(latencyOption)
          .default({ min: 80, max: 120 }, '80ms-120ms'),
      )
      .addOption(
        option('--rate <rate>', 'the strict limit of each API')
          .argParser(rateOption)
          .default({ requests: 100, per: 1_000 }, '100/1s'),
      )
      .addOption(option('--faults <shares>', 'for example flaky=0.05,dead=0.01').argParser(faultsOption));
  simulated(nightfill.command('demo'))
    .description('run the main job against simulated APIs and the embedded database')
    .addOption(option('--rerun', 'fetch again what is left of the latest demo, from APIs that have recovered'))
    .addOption(option('--report <file>', 'where the report is written'))
    .addOption(option('--json', 'the report on standard output'))
    .addHelpText('after', example('nightfill demo', 'nightfill demo --contracts 500 --faults flaky=0.05,missing=0.01'))
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
    .addHelpText('after', example('nightfill simulate --port 4010 --faults hanging=0.01,malformed=0.01'))
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
