import {
  simulatedCredentials,
  startSimulator,
  type Simulator,
  type SimulatorOptions,
} from '../../src/simulator/simulator.ts';
import type { TestContext } from 'node:test';
import { startNight, type Night, type NightOptions } from './night.ts';

interface Changes {
  api?: object;
  crm?: object;
  usage?: object;
  lookups?: { contract?: object; usage?: object };
  [part: string]: unknown;
}

/** The shipped job with delays of milliseconds and without rate limits. */
export function simulatedJob(
  { crmUrl, usageUrl }: Simulator,
  { api, crm, usage, lookups, ...rest }: Changes = {},
): object {
  const shared = {
    type: 'rest',
    limits: { concurrency: 20 },
    timeout: '5s',
    retry: { attempts: 3, baseDelay: '5ms', maxDelay: '50ms', maxElapsed: '20s' },
    breaker: { failures: 20, openFor: '50ms', trials: 1 },
    ...api,
  };
  return {
    name: 'simulated',
    apis: {
      crm: { ...shared, baseUrl: crmUrl, auth: { type: 'bearer', token: { env: 'CRM_TOKEN' } }, ...crm },
      usage: {
        ...shared,
        baseUrl: usageUrl,
        auth: { type: 'header', name: 'x-api-key', value: { env: 'USAGE_KEY' } },
        ...usage,
      },
    },
    contracts: {
      api: 'crm',
      path: '/contracts',
      query: { status: 'active' },
      records: 'data',
      key: 'id',
      paginate: { type: 'cursor', next: 'paging.next.after', param: 'after' },
      total: 'meta.total',
    },
    lookups: {
      contract: { api: 'crm', path: '/contracts/{key}', ...lookups?.contract },
      usage: {
        api: 'usage',
        path: '/customers/{contract.customerId}/usage',
        query: { month: '{businessMonth}' },
        ...lookups?.usage,
      },
    },
    load: {
      table: 'enriched',
      key: ['contract_id'],
      columns: {
        contract_id: { from: 'contract.id', type: 'text' },
        customer_name: { from: 'contract.customer.name', type: 'text' },
        currency: { from: 'contract.currency', type: 'char(3)' },
        annual_value: { from: 'contract.annualValue', type: 'numeric(18,2)' },
        usage_units: { from: 'usage.units', type: 'numeric(20,4)', default: 0 },
        renews_on: { from: 'contract.renewsOn', type: 'date' },
        attributes: { from: 'contract.attributes', type: 'jsonb' },
      },
    },
    controls: [{ sum: 'annual_value', by: 'currency' }],
    chunk: { size: 25 },
    ...rest,
  };
}

export type SimulatedNightOptions = { simulator: SimulatorOptions; job?: Changes } & Pick<
  NightOptions,
  'databaseUrl' | 'schema'
>;

/** A simulator and a night whose `job.yaml` asks it. */
export async function simulatedNight(
  t: TestContext,
  { simulator: options, job = {}, databaseUrl, schema = true }: SimulatedNightOptions,
): Promise<{ simulator: Simulator; night: Night }> {
  const simulator = await startSimulator(options);
  t.after(async () => simulator.close());
  const { crm, usage } = options.credentials ?? simulatedCredentials;
  const night = await startNight(t, {
    environment: { CRM_TOKEN: crm, USAGE_KEY: usage },
    secrets: [crm, usage],
    schema,
    ...(databaseUrl !== undefined && { databaseUrl }),
  });
  await night.write('job.yaml', simulatedJob(simulator, job));
  return { simulator, night };
}
