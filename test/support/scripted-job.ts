import type { TestContext } from 'node:test';
import { startNight, type Night } from './night.ts';
import { ScriptedServer, type RecordedRequest, type Script, type ScriptedAnswer } from './scripted-server.ts';

export const scriptedToken = 'scripted-hush-hush';

/** A job for the server at `origin`: a listing at /contracts, one lookup at /contracts/KEY, amounts by currency. */
export function scriptedJob(
  origin: string,
  { api, contracts, ...rest }: { api?: object; contracts?: object; [part: string]: unknown } = {},
): object {
  return {
    name: 'scripted',
    apis: {
      crm: {
        type: 'rest',
        baseUrl: origin,
        auth: { type: 'bearer', token: { env: 'CRM_TOKEN' } },
        timeout: '5s',
        retry: { attempts: 2, baseDelay: '1ms' },
        breaker: { failures: 100, openFor: '50ms', trials: 1 },
        ...api,
      },
    },
    contracts: { api: 'crm', path: '/contracts', records: 'data', key: 'id', ...contracts },
    lookups: { contract: { api: 'crm', path: '/contracts/{key}' } },
    load: {
      table: 'contracts',
      key: ['id'],
      columns: {
        id: { from: 'contract.id', type: 'text' },
        name: { from: 'contract.name', type: 'text', default: null },
        currency: { from: 'contract.currency', type: 'char(3)', default: 'EUR' },
        amount: { from: 'contract.amount', type: 'numeric(12,2)', default: 0 },
      },
    },
    controls: [{ sum: 'amount', by: 'currency' }],
    ...rest,
  };
}

/** A scripted server and a night whose `job.yaml` asks it. */
export async function scriptedNight(
  t: TestContext,
  { script, job = {}, schema = true }: { script: Script; job?: Parameters<typeof scriptedJob>[1]; schema?: boolean },
): Promise<{ server: ScriptedServer; night: Night }> {
  const server = await ScriptedServer.start(script);
  t.after(async () => server[Symbol.asyncDispose]());
  const night = await startNight(t, { environment: { CRM_TOKEN: scriptedToken }, secrets: [scriptedToken], schema });
  await night.write('job.yaml', scriptedJob(server.origin, job));
  return { server, night };
}

/** Answers the listing with `records` on one page, and each contract as `contract` gives it. */
export function listAndLookUp<Listed>(
  records: readonly Listed[],
  contract: (key: string) => object | undefined = (key) => ({ id: key }),
): (request: Pick<RecordedRequest, 'url'>) => ScriptedAnswer {
  return ({ url }) => {
    const key = /^\/contracts\/([^?]+)/.exec(url)?.[1];
    if (key === undefined) return { json: { data: records } };
    const found = contract(decodeURIComponent(key));
    return found ? { json: found } : { status: 404, json: {} };
  };
}
