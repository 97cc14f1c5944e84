import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { UsageError } from '../resilience/failure.ts';
import { faultyAnswer, misbehave, send, type Answer } from './answer.ts';
import { Arrivals, type Rate } from './arrivals.ts';
import type { Behaviour, Latency } from './behaviour.ts';
import { readControl } from './control.ts';
import { faultDecision, type Fault } from './faults.ts';
import { hash } from './hash.ts';
import type { Resource } from './resource.ts';

export interface ApiServerOptions {
  name: 'crm' | 'usage';
  port: number;
  seed: number;
  header: { name: string; value: string };
  records: number;
  find: (url: string) => Resource;
  behaviour: Behaviour;
}

export interface ApiStatistics {
  api: string;
  requests: number;
  /** Answers by status; attempts that a fault left unanswered are not counted. */
  statuses: Record<string, number>;
  /** Faults injected, by name. */
  faults: Partial<Record<Fault, number>>;
  /** Accepted requests; `paths` counts the distinct ones, `most` the requests of the path asked for most often. */
  listing: { requests: number; paths: number; most: number };
  records: { requests: number; paths: number; most: number };
  rate: Rate | null;
  /** The most arrivals in any interval of `peakPer` milliseconds, refused ones included. */
  peak: number;
  peakPer: number;
  /** Arrivals that exceeded the rate in the interval ending with them. */
  violations: number;
  rateLimited: number;
  inFlight: number;
  maxConcurrency: number;
}

export interface ApiServer {
  url: string;
  statistics(): ApiStatistics;
  behave(changes: Partial<Behaviour>): void;
  reset(): void;
  /** Closes every connection at once, also those that hang. */
  close(): Promise<void>;
}

/** Serves one simulated API on 127.0.0.1. Throws UsageError when the port is taken. */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { name, seed, header, find } = options;
  let behaviour = options.behaviour;
  let decide = faultDecision(seed, behaviour.faults);
  let arrivals = new Arrivals(behaviour.rate);
  let counts = newCounts(options.records);
  let inFlight = 0;

  const server = createServer(
    { keepAliveTimeout: 65_000, requestTimeout: 0, headersTimeout: 0 },
    (request, response) => {
      const url = request.url ?? '/';
      if (url.startsWith('/_')) {
        void control(request, response, url);
        return;
      }
      const wait = arrivals.arrive(performance.now());
      counts.requests += 1;
      inFlight += 1;
      if (inFlight > counts.maxConcurrency) counts.maxConcurrency = inFlight;

      if (wait > 0) return answer(response, { status: 429, body: tooMany, retryAfter: Math.ceil(wait / 1000) });
      if (request.headers[header.name] !== header.value) return answer(response, { status: 401, body: unauthorized });
      if (request.method !== 'GET') return answer(response, { status: 405, body: getOnly });
      const resource = find(url);
      if (resource.kind === 'none') return answer(response, resource);

      const attempt = countAttempt(resource);
      const fault = decide({ kind: resource.kind, index: resource.index, attempt });
      if (fault === undefined) return answer(response, resource);
      counts.faults[fault] = (counts.faults[fault] ?? 0) + 1;
      const faulty = faultyAnswer(fault, resource, hash(seed, resource.index, attempt));
      if (faulty) return answer(response, faulty, fault === 'slow' ? behaviour.slowBy : 0);
      later(response, latencyOf(behaviour.latency), () => misbehave(response, fault, resource));
    },
  );

  function answer(response: ServerResponse, what: Answer, extra = 0): void {
    const { status } = what;
    counts.statuses[status] = (counts.statuses[status] ?? 0) + 1;
    const delay = latencyOf(behaviour.latency) + extra;
    if (delay > 0) return later(response, delay, () => send(response, what));
    send(response, what);
    inFlight -= 1;
  }

  /** The request counts as in flight until its response closes. */
  function later(response: ServerResponse, delay: number, act: () => void): void {
    const timer = setTimeout(act, delay);
    response.once('close', () => {
      clearTimeout(timer);
      inFlight -= 1;
    });
  }

  function latencyOf(latency: Latency): number {
    if (typeof latency === 'number') return latency;
    return latency.min + (hash(seed, counts.requests, 99) / 2 ** 32) * (latency.max - latency.min);
  }

  function countAttempt({ kind, index }: Resource): number {
    if (kind === 'record') {
      counts.recordRequests += 1;
      return (counts.records[index]! += 1);
    }
    const attempt = (counts.listing.get(index) ?? 0) + 1;
    counts.listing.set(index, attempt);
    return attempt;
  }

  function statistics(): ApiStatistics {
    const paths = counts.records.filter((count) => count > 0);
    const pages = [...counts.listing.values()];
    return {
      api: name,
      requests: counts.requests,
      statuses: { ...counts.statuses },
      faults: { ...counts.faults },
      listing: { requests: sum(pages), paths: pages.length, most: most(pages) },
      records: { requests: counts.recordRequests, paths: paths.length, most: most(paths) },
      rate: arrivals.rate ?? null,
      peak: arrivals.peak,
      peakPer: arrivals.per,
      violations: arrivals.violations,
      rateLimited: arrivals.refused,
      inFlight,
      maxConcurrency: counts.maxConcurrency,
    };
  }

  function behave(changes: Partial<Behaviour>): void {
    behaviour = { ...behaviour, ...changes };
    if (changes.faults) decide = faultDecision(seed, changes.faults);
    if (Object.hasOwn(changes, 'rate')) arrivals = new Arrivals(changes.rate);
  }

  function reset(): void {
    counts = newCounts(options.records);
    arrivals = new Arrivals(behaviour.rate);
  }

  async function control(request: IncomingMessage, response: ServerResponse, url: string): Promise<void> {
    response.setHeader('connection', 'close');
    try {
      if (request.method === 'POST' && url === '/_control') {
        const { reset: shouldReset, ...changes } = readControl(await readText(request));
        behave(changes);
        if (shouldReset) reset();
      } else if (request.method !== 'GET' || url !== '/_statistics') {
        return send(response, { status: 404, body: '{"error":"GET /_statistics or POST /_control"}' });
      }
      send(response, { status: 200, body: JSON.stringify(statistics()) });
    } catch (error) {
      if (!(error instanceof UsageError)) response.destroy();
      else send(response, { status: 400, body: JSON.stringify({ error: error.message }) });
    }
  }

  server.listen(options.port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch (cause) {
    throw new UsageError(`The simulated ${name} API cannot listen on port ${options.port}; choose another.`, { cause });
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    statistics,
    behave,
    reset,
    async close() {
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

const tooMany = '{"error":"too many requests"}';
const unauthorized = '{"error":"the credential is missing or wrong"}';
const getOnly = '{"error":"only GET is served"}';

/** Attempts are kept in two bytes a record: a million contracts take 2 MB. */
function newCounts(records: number) {
  return {
    requests: 0,
    maxConcurrency: 0,
    statuses: {} as Record<number, number>,
    faults: {} as Partial<Record<Fault, number>>,
    listing: new Map<number, number>(),
    records: new Uint16Array(records),
    recordRequests: 0,
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function most(numbers: Iterable<number>): number {
  let largest = 0;
  for (const number of numbers) if (number > largest) largest = number;
  return largest;
}

async function readText(request: IncomingMessage): Promise<string> {
  request.setEncoding('utf8');
  let text = '';
  for await (const piece of request) text += String(piece);
  return text;
}
