import { fileURLToPath } from 'node:url';
import { loadJob } from '../config/load-job.ts';
import { simulatedCredentials, type SimulatorOptions } from '../simulator/simulator.ts';
import { startSimulatorThread } from '../simulator/worker.ts';
import { runLoadedJob } from './run.ts';
import type { Terminal } from './terminal.ts';

/** The job file that ships with the package. */
const shippedJob = fileURLToPath(new URL('../../jobs/contract-enrichment.yaml', import.meta.url));

/** `nightfill demo`: the main job against simulated APIs and the embedded database, whatever the environment names. */
export async function demoCommand(
  options: SimulatorOptions & { report?: string; json?: boolean },
  terminal: Terminal,
): Promise<number> {
  const simulator = await startSimulatorThread(options);
  try {
    const environment = {
      CRM_URL: simulator.crmUrl,
      CRM_TOKEN: simulatedCredentials.crm,
      USAGE_URL: simulator.usageUrl,
      USAGE_KEY: simulatedCredentials.usage,
    };
    // Shown at any hour of the day: the demo has no deadline.
    const { finishBy: _, ...job } = await loadJob(shippedJob, { environment });
    const { NO_COLOR, CI, TERM, NIGHTFILL_LOG_LEVEL } = terminal.environment;
    const { report, json } = options;
    return await runLoadedJob(
      { ...job, database: 'embedded' },
      { again: true, ...(report !== undefined && { report }), json: json ?? false },
      { ...terminal, environment: { NO_COLOR, CI, TERM, NIGHTFILL_LOG_LEVEL } },
    );
  } finally {
    await simulator.close();
  }
}
