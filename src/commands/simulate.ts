import { once } from 'node:events';
import { simulatedCredentials, startSimulator, type SimulatorOptions } from '../simulator/simulator.ts';
import { writeLines, type Terminal } from './terminal.ts';

/** `nightfill simulate`: serves the simulated APIs until SIGINT or SIGTERM. */
export async function simulateCommand(options: SimulatorOptions, { stdout, stderr }: Terminal): Promise<number> {
  const simulator = await startSimulator(options);
  writeLines(stdout, [
    `export CRM_URL=${simulator.crmUrl}`,
    `export CRM_TOKEN=${simulatedCredentials.crm}`,
    `export USAGE_URL=${simulator.usageUrl}`,
    `export USAGE_KEY=${simulatedCredentials.usage}`,
  ]);
  writeLines(stderr, [
    'simulated APIs are up; run jobs/contract-enrichment.yaml with the variables above.',
    `GET ${simulator.crmUrl}/_statistics shows what arrived; Ctrl-C ends it.`,
  ]);
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  await simulator.close();
  return 0;
}
