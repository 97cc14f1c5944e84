import { simulatedCredentials, startSimulator, type SimulatorOptions } from '../simulator/simulator.ts';
import { writeLines, type Terminal } from '../session/terminal.ts';

/** `nightfill simulate`: serves the simulated APIs until SIGINT or SIGTERM. */
export async function simulateCommand(
  options: SimulatorOptions,
  { stdout, stderr, signals }: Terminal,
): Promise<number> {
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
  await new Promise<void>((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM'] as const) signals.on(name, () => resolve());
  });
  await simulator.close();
  return 0;
}
