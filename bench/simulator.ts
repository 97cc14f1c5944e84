import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Pool } from 'undici';
import { simulatedCredentials, startSimulator } from '../src/simulator/simulator.ts';

/*
 * The simulator's ceiling: what one answer costs its thread, and so how many it could give in a second if nothing
 * held it back. A client that comes near this figure measures the simulator. The client runs in a thread of its own.
 */

const connections = 50;
const contracts = 2000;

/** Asks for one contract after another over all connections; gives the number answered. */
async function askFor(seconds: number, url: string): Promise<number> {
  const pool = new Pool(url, { connections, allowH2: false });
  const headers = { authorization: `Bearer ${simulatedCredentials.crm}` };
  const end = performance.now() + seconds * 1000;
  let position = 0;
  let answered = 0;
  async function askInTurn(): Promise<void> {
    while (performance.now() < end) {
      position = (position % contracts) + 1;
      const path = `/contracts/CT-${String(position).padStart(7, '0')}`;
      const { body, statusCode } = await pool.request({ method: 'GET', path, headers });
      await body.text();
      if (statusCode !== 200) throw new Error(`${path} answered ${statusCode}`);
      answered += 1;
    }
  }
  await Promise.all(Array.from({ length: connections }, askInTurn));
  await pool.close();
  return answered;
}

async function measure(seconds: number, url: string): Promise<{ perSecond: number; costPerAnswer: number }> {
  const before = process.threadCpuUsage();
  const start = performance.now();
  const client = new Worker(new URL(import.meta.url), { workerData: { seconds, url } });
  const [answered] = (await once(client, 'message')) as [number];
  const { user, system } = process.threadCpuUsage(before);
  return { perSecond: (answered / (performance.now() - start)) * 1000, costPerAnswer: (user + system) / answered };
}

if (isMainThread) {
  const { values } = parseArgs({ options: { seconds: { type: 'string', default: '3' } } });
  const simulator = await startSimulator({ contracts });
  await measure(1, simulator.crmUrl); // compiles and warms up
  const { perSecond, costPerAnswer } = await measure(Number(values.seconds), simulator.crmUrl);
  await simulator.close();
  console.log(`one undici client, ${connections} connections   ${Math.round(perSecond)} requests/s`);
  console.log(`CPU of one answer                   ${costPerAnswer.toFixed(1)} µs`);
  console.log(`ceiling of the simulator's thread   ${Math.round(1e6 / costPerAnswer)} requests/s`);
} else {
  const { seconds, url } = workerData as { seconds: number; url: string };
  parentPort?.postMessage(await askFor(seconds, url));
}
