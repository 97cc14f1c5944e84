import type { Command } from 'commander';
import type { rerunCommand } from '../commands/rerun.ts';
import type { runCommand } from '../commands/run.ts';
import type { Terminal } from '../session/terminal.ts';
import { durationOption, integerList, isoDate, positiveInteger } from './option-values.ts';
import { about, databaseUrl, finishBy, jobOption, noMigrate, option, type Finish } from './options.ts';

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

export function addRun(nightfill: Command, terminal: Terminal, finish: Finish): void {
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
      finish(await (await import('../commands/run.ts')).runCommand(job, options, terminal)),
    );
}

export function addRerun(nightfill: Command, terminal: Terminal, finish: Finish): void {
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
      finish(await (await import('../commands/rerun.ts')).rerunCommand(run, options, terminal)),
    );
}
