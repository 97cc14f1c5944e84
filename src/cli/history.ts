import type { Command } from 'commander';
import type { runsCommand } from '../commands/history.ts';
import type { reportCommand, ReportFormat } from '../commands/report.ts';
import type { showCommand } from '../commands/show.ts';
import type { Terminal } from '../session/terminal.ts';
import { positiveInteger } from './option-values.ts';
import { about, databaseUrl, jobOption, noMigrate, option, type Finish } from './options.ts';

const formats: readonly ReportFormat[] = ['json'];

export function addHistory(nightfill: Command, terminal: Terminal, finish: Finish): void {
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
      finish(await (await import('../commands/history.ts')).runsCommand(options, terminal)),
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
      finish(await (await import('../commands/show.ts')).showCommand(run, options, terminal)),
    );
  reading(nightfill.command('report').argument('[run]', "a run's id or latest", 'latest'))
    .description("write a run's report")
    .addOption(option('--format <format>', 'the format of the report').choices(formats).default('json'))
    .addOption(option('-o, --output <file>', 'write to this file instead of standard output'))
    .addHelpText(
      'after',
      about(
        'The stored report, byte for byte. A run that crashed has none; the run that continued it has.',
        'nightfill report latest --format json -o report.json',
      ),
    )
    .action(async (run: string, options: Parameters<typeof reportCommand>[1]) =>
      finish(await (await import('../commands/report.ts')).reportCommand(run, options, terminal)),
    );
}
