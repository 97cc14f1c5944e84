import { once } from 'node:events';
import { isMainThread, type MessagePort, parentPort, Worker, workerData } from 'node:worker_threads';
import { type NightOptions, type OddNight, OddNights } from './odd-night.ts';
import type { Use } from './odd-script.ts';

/** Present in the worker's data, so that another worker importing this file does not start serving. */
const purpose = 'odd-nights';

/**
 * Runs nights in a thread of its own: the test runner follows every promise of its own thread, which makes a night cost
 * several times as much there.
 */
export class OddThread implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, { resolve: (nights: OddNight[]) => void; reject: (error: Error) => void }>();
  #orders = 0;

  private constructor(worker: Worker) {
    this.#worker = worker;
    worker.on('message', ({ order, nights, error }: Answered) => {
      const waiting = this.#waiting.get(order);
      this.#waiting.delete(order);
      if (nights) waiting?.resolve(nights);
      else waiting?.reject(new Error(error));
    });
    worker.on('error', (error) => {
      for (const { reject } of this.#waiting.values()) reject(error as Error);
    });
  }

  static async start(databaseUrl: string): Promise<OddThread> {
    const worker = new Worker(new URL(import.meta.url), { workerData: { purpose, databaseUrl } });
    const thread = new OddThread(worker);
    await once(worker, 'message');
    return thread;
  }

  async run(use: Use, options: NightOptions = {}): Promise<OddNight[]> {
    this.#orders += 1;
    const { promise, resolve, reject } = Promise.withResolvers<OddNight[]>();
    this.#waiting.set(this.#orders, { resolve, reject });
    this.#worker.postMessage({ order: this.#orders, use, options });
    return promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate();
  }
}

interface Answered {
  order: number;
  nights?: OddNight[];
  error?: string;
}

async function serve(port: MessagePort, databaseUrl: string): Promise<void> {
  const nights = await OddNights.open(databaseUrl);
  port.on('message', ({ order, use, options }: { order: number; use: Use; options: NightOptions }) => {
    nights.run(use, options).then(
      (ended) => port.postMessage({ order, nights: ended } satisfies Answered),
      (error: unknown) => port.postMessage({ order, error: String(error) } satisfies Answered),
    );
  });
  port.postMessage({ order: 0 } satisfies Answered);
}

if (!isMainThread && parentPort) {
  const data = workerData as { purpose?: string; databaseUrl: string } | null;
  if (data?.purpose === purpose) await serve(parentPort, data.databaseUrl);
}
