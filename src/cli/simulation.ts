import { InvalidArgumentError, type Command } from 'commander';
import type { demoCommand } from '../commands/demo.ts';
import type { simulateCommand } from '../commands/simulate.ts';
import type { Terminal } from '../session/terminal.ts';
import { faultNames, parseFaults } from '../simulator/faults.ts';
import { latencyOption, positiveInteger, rateOption } from './option-values.ts';
import { about, option, type Finish } from './options.ts';

export function addSimulation(nightfill: Command, terminal: Terminal, finish: Finish): void {
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
      finish(await (await import('../commands/demo.ts')).demoCommand(options, terminal)),
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
      finish(await (await import('../commands/simulate.ts')).simulateCommand(options, terminal)),
    );
}

function faultsOption(text: string): ReturnType<typeof parseFaults> {
  try {
    return parseFaults(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}
