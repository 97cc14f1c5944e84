import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { UsageError } from '../resilience/failure.ts';
import type { ApiStatistics } from './api-server.ts';
import type { Faults } from './faults.ts';
import { faultsPerApi, startSimulator, type Simulator, type SimulatorOptions } from './simulator.ts';

/** Marks the worker's data, so that another worker importing this file does not start serving. */
const purpose = 'nightfill-simulator';

type Started = { crmUrl: string; usageUrl: string } | { usageError: string };

/**
 * Starts the simulator in a thread of its own: a busy caller does not delay its answers or distort its measurements.
 * Throws what `startSimulator` throws.
 */
export async function startSimulatorThread(options: SimulatorOptions = {}): Promise<Simulator> {
  // This file, whatever its extension: .ts in the repository, .js in the package.
  const worker = new Worker(new URL(import.meta.url), { workerData: { purpose, options } });
  const [started] = (await once(worker, 'message')) as [Started];
  if ('usageError' in started) {
    await worker.terminate();
    throw new UsageError(started.usageError);
  }
  const { crmUrl, usageUrl } = started;
  return {
    crmUrl,
    usageUrl,
    async statistics() {
      const [crm, usage] = await Promise.all([ask(`${crmUrl}/_statistics`), ask(`${usageUrl}/_statistics`)]);
      return { crm, usage };
    },
    async setFaults(faults: Faults, usageFaults?: Faults) {
      const changed = faultsPerApi(faults, usageFaults);
      await Promise.all([
        ask(`${crmUrl}/_control`, { faults: changed.crm }),
        ask(`${usageUrl}/_control`, { faults: changed.usage }),
      ]);
    },
    async reset() {
      await Promise.all([ask(`${crmUrl}/_control`, { reset: true }), ask(`${usageUrl}/_control`, { reset: true })]);
    },
    async close() {
      await worker.terminate();
    },
  };
}

async function ask(url: string, body?: object): Promise<ApiStatistics> {
  // oxlint-disable-next-line no-restricted-globals -- asks this process's own thread, which needs no timeout
  const response = await fetch(url, body ? { method: 'POST', body: JSON.stringify(body) } : {});
  return (await response.json()) as ApiStatistics;
}

async function serve(options: SimulatorOptions): Promise<Started> {
  try {
    const { crmUrl, usageUrl } = await startSimulator(options);
    return { crmUrl, usageUrl };
  } catch (error) {
    // An error sent to another thread loses its class.
    if (error instanceof UsageError) return { usageError: error.message };
    throw error;
  }
}

if (!isMainThread) {
  const data = workerData as { purpose?: string; options: SimulatorOptions } | null;
  if (data?.purpose === purpose) parentPort?.postMessage(await serve(data.options));
}
