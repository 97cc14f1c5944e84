import { setTimeout as delay } from 'node:timers/promises';
import * as cockatiel from 'cockatiel';
import Opossum from 'opossum';
import { CircuitBreaker } from '../../src/resilience/index.ts';
import type { Figures, Row } from './row.ts';

const openFor = 20;
const wanted = 2;

interface Breaker {
  call(task: () => Promise<void>): Promise<void>;
  isClosed(): boolean;
}

const breakers: Record<'nightfill' | 'opossum' | 'cockatiel', () => Breaker> = {
  nightfill() {
    const breaker = new CircuitBreaker({ failures: 1, openFor, trials: wanted });
    return { call: async (task) => breaker.execute(task), isClosed: () => breaker.state === 'closed' };
  },
  opossum() {
    const breaker = new Opossum(async (task: () => Promise<void>) => task(), { resetTimeout: openFor, timeout: false });
    return { call: async (task) => breaker.fire(task), isClosed: () => breaker.closed };
  },
  cockatiel() {
    const breaker = cockatiel.circuitBreaker(cockatiel.handleAll, {
      halfOpenAfter: openFor,
      halfOpenSampling: { calls: wanted, threshold: 0 },
      breaker: new cockatiel.ConsecutiveBreaker(1),
    });
    return {
      call: async (task) => breaker.execute(task),
      isClosed: () => breaker.state === cockatiel.CircuitState.Closed,
    };
  },
};

const succeed = async (): Promise<void> => Promise.resolve();
const fail = async (): Promise<void> => Promise.reject(new Error('failed'));

async function halfOpen(make: () => Breaker): Promise<Breaker> {
  const breaker = make();
  await breaker.call(fail).catch(() => undefined);
  if (breaker.isClosed()) throw new Error('a failure should have opened the breaker');
  await delay(2 * openFor);
  return breaker;
}

async function successesToClose(make: () => Breaker): Promise<number> {
  const breaker = await halfOpen(make);
  let good = 0;
  while (!breaker.isClosed()) {
    await breaker.call(succeed);
    good += 1;
  }
  return good;
}

async function trialsAtOnce(make: () => Breaker): Promise<number> {
  const breaker = await halfOpen(make);
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  let running = 0;
  const trial = async (): Promise<void> => {
    running += 1;
    await held;
  };
  const calls = Array.from({ length: 10 }, async () => breaker.call(trial).catch(() => undefined));
  await delay(5);
  const atOnce = running;
  release();
  await Promise.all(calls);
  return atOnce;
}

async function each(measure: (make: () => Breaker) => Promise<number>): Promise<Figures> {
  const figures: Figures = {};
  for (const name of ['nightfill', 'opossum', 'cockatiel'] as const) figures[name] = await measure(breakers[name]);
  return figures;
}

/** How a breaker that was opened finds its way back. */
export async function breakerHistory(): Promise<Row[]> {
  return [
    {
      what: `Breaker: good trials until it closes, ${wanted} wanted`,
      figures: await each(successesToClose),
      best: wanted,
    },
    { what: 'Breaker: trials at once while half-open', figures: await each(trialsAtOnce), best: 'least' },
  ];
}
