import { once } from 'node:events';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { isMainThread, type MessagePort, parentPort, Worker, workerData } from 'node:worker_threads';
import { type RawRequest, RawServer } from '../raw-server.ts';
import { OddScript, type Use } from './odd-script.ts';

/** What a night's server saw. */
export interface Seen {
  requests: readonly RawRequest[];
  /** The longest that the servers' thread stood still meanwhile: arrivals may be stamped late by that much. */
  stalledMs: number;
  /** Requests so far at a server to which redirects lead. */
  strayed: number;
}

export interface OddServer {
  origin: string;
  /** Stops it. */
  seen(): Promise<Seen>;
}

/** Present in the worker's data, so that another worker importing this file does not start serving. */
const purpose = 'odd-servers';

type Order = { id: number } & ({ start: Use } | { stop: number });
type Answered = { id: number; origin?: string; seen?: Seen };

/** Servers in a thread of their own: in the thread that asks them they could not tell when a request arrived. */
export class OddServers implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, (answered: Answered) => void>();
  #orders = 0;

  private constructor(worker: Worker) {
    this.#worker = worker;
    worker.on('message', (answered: Answered) => {
      this.#waiting.get(answered.id)?.(answered);
      this.#waiting.delete(answered.id);
    });
  }

  static async open(): Promise<OddServers> {
    const worker = new Worker(new URL(import.meta.url), { workerData: { purpose } });
    await once(worker, 'message');
    return new OddServers(worker);
  }

  async start(use: Use): Promise<OddServer> {
    const { id, origin } = await this.#ask({ start: use });
    return {
      origin: origin!,
      seen: async () => (await this.#ask({ stop: id })).seen!,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate();
  }

  async #ask(order: { start: Use } | { stop: number }): Promise<Answered> {
    this.#orders += 1;
    const { promise, resolve } = Promise.withResolvers<Answered>();
    this.#waiting.set(this.#orders, resolve);
    this.#worker.postMessage({ ...order, id: this.#orders });
    return promise;
  }
}

async function serve(port: MessagePort): Promise<void> {
  const foreign = await RawServer.start(() => undefined);
  const running = new Map<number, () => Promise<Seen>>();
  const answer = async (order: Order): Promise<Answered> => {
    const { id } = order;
    if ('stop' in order) return { id, seen: await running.get(order.stop)!() };
    const server = await RawServer.start(new OddScript(order.start, foreign.origin).answer);
    const stalls = monitorEventLoopDelay({ resolution: 5 });
    stalls.enable();
    running.set(id, async () => {
      running.delete(id);
      await server[Symbol.asyncDispose]();
      // The histogram counts its own interval too.
      const stalledMs = Math.max(0, stalls.max / 1e6 - 5);
      return { requests: server.requests, stalledMs, strayed: foreign.requests.length };
    });
    return { id, origin: server.origin };
  };
  port.on('message', (order: Order) => {
    void answer(order).then((answered) => port.postMessage(answered));
  });
  port.postMessage('ready');
}

if (!isMainThread && parentPort) {
  const data = workerData as { purpose?: string } | null;
  if (data?.purpose === purpose) await serve(parentPort);
}
