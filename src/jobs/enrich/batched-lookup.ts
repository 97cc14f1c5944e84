import { NightfillError } from '../../resilience/failure.ts';
import type { Api, ApiRequest } from '../../sources/api/api.ts';
import { scalarText, type Json } from '../../sources/json/exact-json.ts';
import { formatJsonPath, getPath, type JsonPath } from '../../sources/json/json-path.ts';
import type { Batch, Job } from '../job.ts';
import type { SharedLookups } from './shared-lookups.ts';

/** How long a batch that is not full waits for more contracts, in milliseconds. */
const lingerMs = 50;

interface Ask {
  id: string;
  failedBefore: boolean;
  resolve: (record: Json) => void;
  reject: (error: unknown) => void;
}

interface Group {
  asks: Ask[];
  timer: NodeJS.Timeout;
}

export interface BatchedAsk {
  path: string;
  query: Record<string, string>;
  /** The id of this contract's record. */
  id: string;
  bounds: Omit<ApiRequest, 'url'>;
}

/** Fetches many contracts' records in one request: `?ids=a,b,c`, at most `size` ids per request, each id once. */
export class BatchedLookup {
  readonly #api: Api;
  readonly #batch: Batch;
  readonly #shared: SharedLookups;
  readonly #groups = new Map<string, Group>();

  constructor(o: { api: Api; batch: Batch; shared: SharedLookups }) {
    this.#api = o.api;
    this.#batch = o.batch;
    this.#shared = o.shared;
  }

  /** The record whose `key` is the contract's id. Throws BATCH_RECORD_MISSING, BATCH_RECORD_TWICE, or the batch's error. */
  async ask(asked: BatchedAsk): Promise<Json> {
    const { path, query, id } = asked;
    return this.#shared.once(`${this.#api.name} ${path} ${JSON.stringify(query)} ${id}`, async () => {
      const { promise, resolve, reject } = Promise.withResolvers<Json>();
      this.#add({ id, failedBefore: asked.bounds.failedBefore ?? false, resolve, reject }, asked);
      return promise;
    });
  }

  #add(ask: Ask, asked: BatchedAsk): void {
    // Contracts whose path or other parameters differ cannot share a request.
    const name = JSON.stringify([asked.path, asked.query]);
    let group = this.#groups.get(name);
    if (!group) {
      group = { asks: [], timer: setTimeout(() => this.#send(name, asked), lingerMs) };
      this.#groups.set(name, group);
    }
    group.asks.push(ask);
    if (group.asks.length >= this.#batch.size) this.#send(name, asked);
  }

  #send(name: string, asked: BatchedAsk): void {
    const group = this.#groups.get(name);
    if (!group) return;
    clearTimeout(group.timer);
    this.#groups.delete(name);
    // Settles every ask, and never rejects itself.
    void this.#answer(group.asks, asked);
  }

  async #answer(asks: readonly Ask[], { path, query, bounds }: BatchedAsk): Promise<void> {
    const { param, records, key } = this.#batch;
    try {
      const ids = asks.map(({ id }) => id);
      const url = this.#api.resolveUrl(path, { ...query, [param]: ids.join(',') });
      const failedBefore = asks.every((ask) => ask.failedBefore);
      const { body } = await this.#api.request({ url, ...bounds, failedBefore });
      const found = records ? getPath(body, records) : body;
      if (!Array.isArray(found))
        throw notAnArray(this.#api.name, records ? formatJsonPath(records) : 'the answer itself');
      const byId = Map.groupBy(found as Json[], (record) => scalarText(getPath(record, key)));
      for (const { id, resolve, reject } of asks) {
        const [record, ...others] = byId.get(id) ?? [];
        if (record === undefined) reject(missing(this.#api.name, id));
        // Nothing tells which record is the right one, and taking any would lose the others' values.
        else if (others.length > 0) reject(severalRecords(this.#api.name, { id, count: others.length + 1, key }));
        else resolve(record);
      }
    } catch (error) {
      for (const { reject } of asks) reject(error);
    }
  }
}

/** A job's batched lookups, by name. */
export function batchedLookups(
  job: Job,
  { apis, shared }: { apis: ReadonlyMap<string, Api>; shared: SharedLookups },
): Map<string, BatchedLookup> {
  const batched = job.lookups.flatMap(({ name, api, batch }) =>
    batch ? [[name, new BatchedLookup({ api: apis.get(api)!, batch, shared })] as const] : [],
  );
  return new Map(batched);
}

const missing = (api: string, id: string): NightfillError =>
  new NightfillError({
    code: 'BATCH_RECORD_MISSING',
    class: 'data',
    message: `API "${api}" was asked for several records at once, and its answer has none for ${JSON.stringify(id)}`,
  });

const severalRecords = (
  api: string,
  { id, count, key }: { id: string; count: number; key: JsonPath },
): NightfillError =>
  new NightfillError({
    code: 'BATCH_RECORD_TWICE',
    class: 'data',
    message: `API "${api}" was asked for several records at once: expected one with ${formatJsonPath(key)} ${JSON.stringify(id)}, got ${count}; correct them at the source, or use a path that gives one record per id`,
  });

const notAnArray = (api: string, where: string): NightfillError =>
  new NightfillError({
    code: 'BATCH_SHAPE',
    class: 'config',
    message: `API "${api}" was asked for several records at once: expected an array at ${where}; see batch.records in the job file`,
  });
