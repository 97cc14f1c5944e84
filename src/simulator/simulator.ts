import { startApiServer, type ApiServer, type ApiStatistics } from './api-server.ts';
import type { Rate } from './arrivals.ts';
import type { Latency } from './behaviour.ts';
import { findInCrm, type Population } from './crm.ts';
import { checkFaults, type Faults } from './faults.ts';
import { contractCount } from './records.ts';
import { findInUsage } from './usage.ts';

/** Durations in milliseconds. */
export interface SimulatorOptions {
  /** Of the CRM; the usage API takes the next one. 0 (default): two free ones. */
  port?: number;
  /** Active contracts, 2,000 by default; one more in nine is expired. */
  contracts?: number;
  /** Half as many as contracts by default. */
  customers?: number;
  /** Equal seeds give equal records and equal faults. 1 by default. */
  seed?: number;
  /** Before each answer; 0 by default. */
  latency?: Latency;
  /** For each API by itself; none by default. */
  rate?: Rate;
  /** None by default. */
  faults?: Faults;
  /** Of the usage API; by default `faults` without `dead` and `missing`, which are properties of contracts. */
  usageFaults?: Faults;
  /** Added to the latency by `slow`; 2,000 by default. */
  slowBy?: number;
  credentials?: Credentials;
}

export interface Credentials {
  /** The CRM's bearer token. */
  crm: string;
  /** The usage API's `x-api-key`. */
  usage: string;
}

export const simulatedCredentials: Credentials = { crm: 'simulated-crm-token', usage: 'simulated-usage-key' };

export interface Simulator {
  crmUrl: string;
  usageUrl: string;
  statistics(): Promise<{ crm: ApiStatistics; usage: ApiStatistics }>;
  /** Replaces the faults, as the options of the same names would. */
  setFaults(faults: Faults, usageFaults?: Faults): Promise<void>;
  /** Clears statistics and attempts, so that flaky records fail again. */
  reset(): Promise<void>;
  /** Closes every connection at once, also those that hang. */
  close(): Promise<void>;
}

/**
 * Starts the simulated CRM and usage APIs in this thread. One answer costs it about 20 µs of CPU, so its ceiling is
 * near 50,000 requests/s, more than one client can send (bench/simulator.ts). Throws UsageError for an unknown fault
 * or a port that is taken.
 */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const { port = 0, contracts = 2000, seed = 1, latency = 0, rate, slowBy = 2000 } = options;
  const population: Population = {
    seed,
    contracts,
    customers: options.customers ?? Math.max(1, Math.ceil(contracts / 2)),
  };
  const credentials = options.credentials ?? simulatedCredentials;
  const faults = faultsPerApi(options.faults ?? {}, options.usageFaults);
  const behaviour = { rate, latency, slowBy };

  const servers: ApiServer[] = [];
  async function close(): Promise<void> {
    await Promise.all(servers.map(async (server) => server.close()));
  }
  try {
    const crm = await startApiServer({
      name: 'crm',
      port,
      seed,
      header: { name: 'authorization', value: `Bearer ${credentials.crm}` },
      records: contractCount(contracts),
      find: (url) => findInCrm(population, url),
      behaviour: { ...behaviour, faults: faults.crm },
    });
    servers.push(crm);
    const usage = await startApiServer({
      name: 'usage',
      port: port === 0 ? 0 : port + 1,
      seed: seed + 1,
      header: { name: 'x-api-key', value: credentials.usage },
      records: population.customers,
      find: (url) => findInUsage(population, url),
      behaviour: { ...behaviour, faults: faults.usage },
    });
    servers.push(usage);
    return {
      crmUrl: crm.url,
      usageUrl: usage.url,
      statistics: async () => Promise.resolve({ crm: crm.statistics(), usage: usage.statistics() }),
      async setFaults(forCrm, forUsage) {
        const changed = faultsPerApi(forCrm, forUsage);
        crm.behave({ faults: changed.crm });
        usage.behave({ faults: changed.usage });
        return Promise.resolve();
      },
      async reset() {
        crm.reset();
        usage.reset();
        return Promise.resolve();
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The faults of each API. Throws UsageError. */
export function faultsPerApi(faults: Faults, usageFaults?: Faults): { crm: Faults; usage: Faults } {
  const { dead: _dead, missing: _missing, ...others } = checkFaults(faults);
  return { crm: faults, usage: usageFaults ? checkFaults(usageFaults) : others };
}
