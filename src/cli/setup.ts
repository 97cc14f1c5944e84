import { Option, type Command } from 'commander';
import type { checkCommand } from '../commands/check.ts';
import type { migrateCommand } from '../commands/migrate.ts';
import type { planCommand } from '../commands/plan.ts';
import type { pruneCommand } from '../commands/prune.ts';
import type { Terminal } from '../session/terminal.ts';
import { durationOption, isoDate, renameOption } from './option-values.ts';
import { about, databaseUrl, finishBy, jobOption, noMigrate, option, type Finish } from './options.ts';

export function addSetup(nightfill: Command, terminal: Terminal, finish: Finish): void {
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
      finish(await (await import('../commands/check.ts')).checkCommand(job, options, terminal)),
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
      finish(await (await import('../commands/plan.ts')).planCommand(job, options, terminal)),
    );
  nightfill
    .command('init')
    .argument('[dir]', 'the folder to write to', '.')
    .description('write a commented job file to start from')
    .addHelpText('after', about('Writes contract-enrichment.yaml, never over an existing file.', 'nightfill init jobs'))
    .action(async (directory: string) =>
      finish(await (await import('../commands/init.ts')).initCommand(directory, terminal)),
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
      finish(await (await import('../commands/prune.ts')).pruneCommand(options, terminal)),
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
      finish(await (await import('../commands/migrate.ts')).migrateCommand(options, terminal)),
    );
}
