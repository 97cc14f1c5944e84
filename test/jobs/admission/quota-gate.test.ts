import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { QuotaGate } from '../../../src/jobs/admission/quota-gate.ts';
import { Api } from '../../../src/sources/api/api.ts';
import type { QuotaLimit } from '../../../src/sources/api/api-options.ts';
import { parseTemplate } from '../../../src/sources/json/template.ts';
import { apiOptions } from '../../support/api-fixture.ts';
import { ScriptedServer } from '../../support/scripted-server.ts';

const quota = { requests: 1000, reserve: 0.2, timezone: 'UTC' };

interface Ask {
  api: string;
  batch?: number;
}

/** A gate for lookups at APIs by name, of which `crm` answers as many times with 503 as asked before it answers. */
async function gateFor(
  t: TestContext,
  {
    lookups,
    quotas,
    failing = 0,
  }: { lookups: Ask[]; quotas: Record<string, QuotaLimit | undefined>; failing?: number },
) {
  const server = await ScriptedServer.start(() => (server.requests.length <= failing ? { status: 503 } : { json: 1 }));
  const apis = new Map(
    Object.entries(quotas).map(([name, limit]) => {
      const origin = name === 'elsewhere' ? 'http://127.0.0.1:9' : server.origin;
      const limits = limit ? { quota: limit } : {};
      return [name, new Api({ ...apiOptions(origin, { limits, retry: { attempts: 9 } }), name })];
    }),
  );
  t.after(async () => {
    for (const api of apis.values()) await api.close();
    await server[Symbol.asyncDispose]();
  });
  const request = { path: parseTemplate('/x'), query: {} };
  const job = {
    contracts: { ...request, api: 'crm', key: ['id'], paginate: { type: 'none' } as const },
    lookups: lookups.map(({ api, batch }, index) => ({
      ...request,
      api,
      name: `lookup${index}`,
      needs: [],
      onFailure: 'fail' as const,
      maxAge: Infinity,
      ...(batch === undefined ? {} : { batch: { size: batch, param: 'ids', key: ['id'] } }),
    })),
  };
  return { apis, gate: new QuotaGate({ job, apis, contracts: { concurrency: 20 } }) };
}

test('what has begun may still ask for everything, so it counts beside what is to begin', async (t) => {
  const { gate, apis } = await gateFor(t, { lookups: [{ api: 'crm' }, { api: 'crm' }], quotas: { crm: quota } });
  assert.equal(gate.allows(400, { open: 0 }), true);
  assert.equal(gate.allows(401, { open: 0 }), false);
  assert.equal(gate.allows(100, { open: 300 }), true);
  assert.equal(gate.allows(101, { open: 300 }), false);
  apis.get('crm')!.quota!.spend(600);
  assert.equal(gate.allows(100, { open: 0 }), true);
  assert.equal(gate.allows(101, { open: 0 }), false);
  assert.match(
    gate.reason(101).message,
    /^the quota of API "crm" for .* is 1000 requests: 600 are used, and 200 are reserved for others; another chunk needs up to 202; it renews/,
  );
  assert.match(
    gate.reason(401).message,
    /up to 802, more than a whole day allows: give chunk\.size a lower value; the quota/,
  );
  assert.equal(gate.reason(101).code, 'QUOTA');
});

test('a batch asks for many at once, though not for more than are worked on at once', async (t) => {
  const of = async (batch: number) =>
    (await gateFor(t, { lookups: [{ api: 'crm', batch }], quotas: { crm: quota } })).gate;
  const small = await of(10);
  assert.deepEqual([small.allows(8_000, { open: 0 }), small.allows(8_001, { open: 0 })], [true, false]);
  const large = await of(500);
  assert.deepEqual([large.allows(16_000, { open: 0 }), large.allows(16_001, { open: 0 })], [true, false]);
});

test('entries of one origin share a quota; other origins and entries without a quota hold nothing up', async (t) => {
  const lookups = [{ api: 'crm' }, { api: 'search' }, { api: 'elsewhere' }];
  const { gate } = await gateFor(t, { lookups, quotas: { crm: quota, search: quota, elsewhere: undefined } });
  assert.deepEqual([gate.allows(400, { open: 0 }), gate.allows(401, { open: 0 })], [true, false]);
  const alone = await gateFor(t, { lookups, quotas: { crm: quota, search: undefined, elsewhere: undefined } });
  assert.deepEqual([alone.gate.allows(800, { open: 0 }), alone.gate.allows(801, { open: 0 })], [true, false]);
  const free = await gateFor(t, { lookups, quotas: { crm: undefined, search: undefined, elsewhere: undefined } });
  assert.equal(free.gate.allows(1e9, { open: 1e9 }), true);
  const unasked = await gateFor(t, { lookups: [{ api: 'crm' }], quotas: { crm: undefined, elsewhere: quota } });
  assert.equal(unasked.gate.allows(1e9, { open: 1e9 }), true);
});

test('requests that had to be repeated let expect more of the same', async (t) => {
  const { gate, apis } = await gateFor(t, { lookups: [{ api: 'crm' }], quotas: { crm: quota }, failing: 3 });
  await apis.get('crm')!.request({ url: '/a' });
  // Four sent for one: 796 are spendable, and each contract may take four.
  assert.deepEqual([gate.allows(199, { open: 0 }), gate.allows(200, { open: 0 })], [true, false]);
});

test('until the API has told its quota one chunk is worked on at a time', async (t) => {
  const { gate, apis } = await gateFor(t, {
    lookups: [{ api: 'crm' }],
    quotas: { crm: { header: 'x-left', reserve: 0.2, timezone: 'UTC' } },
  });
  assert.deepEqual([gate.allows(500, { open: 0 }), gate.allows(500, { open: 500 })], [true, false]);
  apis.get('crm')!.quota!.heed({ left: 1250 });
  assert.equal(gate.allows(500, { open: 500 }), true);
});
