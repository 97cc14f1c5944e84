import type { Command } from 'commander';
import type { scheduleCommand } from '../commands/schedule.ts';
import type { Terminal } from '../session/terminal.ts';
import { mailAddress, positiveInteger } from './option-values.ts';
import { about, option, type Finish } from './options.ts';

export function addSchedule(nightfill: Command, terminal: Terminal, finish: Finish): void {
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
      finish(await (await import('../commands/schedule.ts')).scheduleCommand(jobs, options, terminal)),
    );
}
