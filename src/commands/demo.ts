import { fileURLToPath } from 'node:url';
import { loadJob } from '../config/load-job.ts';
import type { Job } from '../jobs/job.ts';
import { findRun } from '../ledger/find-run.ts';
import { readInstance } from '../ledger/instance.ts';
import { rerunJob, runJob } from '../jobs/run/run.ts';
import { simulatedCredentials, type SimulatorOptions } from '../simulator/simulator.ts';
import { startSimulatorThread } from '../simulator/worker.ts';
import { commandLog } from '../session/command-log.ts';
import { programName, shellWord, type NextCommands } from '../session/next-commands.ts';
import { openDatabase } from '../session/open-database.ts';
import { executeJob } from '../session/execute-job.ts';
import { signalsOf, type ExecuteOptions } from '../session/execute-options.ts';
import { runLoadedJob } from './run.ts';
import type { Terminal } from '../session/terminal.ts';

/** The job file that ships with the package. */
const shippedJob = fileURLToPath(new URL('../../jobs/contract-enrichment.yaml', import.meta.url));

export interface DemoOptions extends SimulatorOptions {
  rerun?: boolean;
  report?: string;
  json?: boolean;
}

/** `nightfill demo`: the main job against simulated APIs and the embedded database, whatever the environment names. */
export async function demoCommand(options: DemoOptions, terminal: Terminal): Promise<number> {
  const simulator = await startSimulatorThread(options);
  try {
    const environment = {
      CRM_URL: simulator.crmUrl,
      CRM_TOKEN: simulatedCredentials.crm,
      USAGE_URL: simulator.usageUrl,
      USAGE_KEY: simulatedCredentials.usage,
    };
    // The demo runs at any time of the day, so it has no deadline.
    const { finishBy: _, ...job } = await loadJob(shippedJob, { environment });
    const { NO_COLOR, CI, TERM, NIGHTFILL_LOG_LEVEL } = terminal.environment;
    const { report, json } = options;
    const shared = {
      ...(report !== undefined && { report }),
      json: json ?? false,
      next: nextCommands(options, terminal),
    };
    const pinned = { ...job, database: 'embedded' as const };
    const bare = { ...terminal, environment: { NO_COLOR, CI, TERM, NIGHTFILL_LOG_LEVEL } };
    return await (options.rerun
      ? rerunDemo(pinned, shared, bare)
      : runLoadedJob(pinned, { again: true, ...shared }, bare));
  } finally {
    await simulator.close();
  }
}

/** Continues the latest demo, also when it was stopped during the listing. */
async function rerunDemo(job: Job, options: ExecuteOptions, terminal: Terminal): Promise<number> {
  const log = commandLog(terminal);
  using signals = signalsOf(options, terminal);
  await using opened = await openDatabase(
    { ...options, database: job.database },
    { ...terminal, log, signal: signals.signal },
  );
  const { database } = opened;
  const of = await findRun(database, { run: 'latest', job: job.name });
  const { businessDate, status } = await readInstance(database, of.instance);
  return await executeJob(job, { options, terminal, businessDate, database, log, signals }, async (o) =>
    status === 'planning' ? runJob(job, { ...o, businessDate }) : rerunJob(job, { ...o, of, selection: {} }),
  );
}

/** The APIs end with the demo, so the rest is fetched from new ones with the same records and without faults. */
function nextCommands({ contracts, seed, report }: DemoOptions, { environment }: Terminal): NextCommands {
  const command = [
    `${programName(environment)} demo --rerun`,
    ...(contracts === undefined || contracts === 2_000 ? [] : [`--contracts ${contracts}`]),
    ...(seed === undefined || seed === 1 ? [] : [`--seed ${seed}`]),
    ...(report === undefined ? [] : [`--report ${shellWord(report)}`]),
  ].join(' ');
  return { rerun: command, run: command };
}
