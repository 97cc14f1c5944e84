import { once } from 'node:events';
import { isMainThread, type MessagePort, parentPort, Worker, workerData } from 'node:worker_threads';
import { allOddAnswers } from './all.ts';
import { type OddNight, OddNights, type Use } from './odd-night.ts';

/** A night to run: odd answers by their name, since functions do not travel between threads. */
export interface NightOrder {
  what: Use['what'];
  /** Of `contracts`, the ones that are answered so, by number; of others the names alone. */
  odd: readonly (readonly [answer: string, contract: number])[];
  once?: boolean;
  finishInMs?: number;
  /** Run it again against a server that answers as it should. */
  mended?: boolean;
}

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
  strayed = 0;

  private constructor(worker: Worker) {
    this.#worker = worker;
    worker.on('message', ({ order, nights, strayed, error }: Answered) => {
      const waiting = this.#waiting.get(order);
      this.#waiting.delete(order);
      this.strayed = strayed;
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

  async run(order: NightOrder): Promise<OddNight[]> {
    this.#orders += 1;
    const { promise, resolve, reject } = Promise.withResolvers<OddNight[]>();
    this.#waiting.set(this.#orders, { resolve, reject });
    this.#worker.postMessage({ ...order, order: this.#orders });
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
  strayed: number;
}

async function serve(port: MessagePort, databaseUrl: string): Promise<void> {
  const nights = await OddNights.open(databaseUrl);
  port.on('message', (asked: NightOrder & { order: number }) => {
    const { order } = asked;
    nights.run(useOf(asked), asked).then(
      (ended) => port.postMessage({ order, nights: ended, strayed: nights.strayed } satisfies Answered),
      (error: unknown) => port.postMessage({ order, error: String(error), strayed: 0 } satisfies Answered),
    );
  });
  port.postMessage({ order: 0, strayed: 0 } satisfies Answered);
}

function useOf({ what, odd, once: isOnce = false }: NightOrder): Use {
  const named = (name: string) => {
    const found = allOddAnswers.find(({ answer }) => answer === name);
    if (!found) throw new Error(`no odd answer is called ${name}`);
    return found;
  };
  if (what === 'contracts') return { what, odd: new Map(odd.map(([name, contract]) => [contract, named(name)])) };
  return { what, odd: odd.map(([name]) => named(name)), once: isOnce };
}

if (!isMainThread && parentPort) {
  const data = workerData as { purpose?: string; databaseUrl: string } | null;
  if (data?.purpose === purpose) await serve(parentPort, data.databaseUrl);
}
