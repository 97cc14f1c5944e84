import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { UsageError } from '../../src/resilience/failure.ts';
import type { Faults } from '../../src/simulator/faults.ts';
import {
  simulatedCredentials,
  startSimulator,
  type Simulator,
  type SimulatorOptions,
} from '../../src/simulator/simulator.ts';
import { startSimulatorThread } from '../../src/simulator/worker.ts';

async function started(t: TestContext, options: SimulatorOptions = {}): Promise<Simulator> {
  const simulator = await startSimulator({ contracts: 50, ...options });
  t.after(async () => simulator.close());
  return simulator;
}

const crmHeaders = { authorization: `Bearer ${simulatedCredentials.crm}` };
const usageHeaders = { 'x-api-key': simulatedCredentials.usage };

async function askCrm(simulator: Simulator, path: string): Promise<Response> {
  return fetch(simulator.crmUrl + path, { headers: crmHeaders });
}

async function askUsage(simulator: Simulator, path: string): Promise<Response> {
  return fetch(simulator.usageUrl + path, { headers: usageHeaders });
}

async function json(response: Response): Promise<Record<string, unknown>> {
  return (await response.json()) as Record<string, unknown>;
}

interface Page {
  data: { id: string; customerId: string; status: string }[];
  paging?: { next: { after: string } };
  meta: { total: number };
}

async function listAll(simulator: Simulator, query: string): Promise<{ ids: string[]; pages: Page[] }> {
  const pages: Page[] = [];
  let after = '';
  do {
    const page = (await (await askCrm(simulator, `/contracts?${query}${after}`)).json()) as Page;
    pages.push(page);
    after = page.paging ? `&after=${page.paging.next.after}` : '';
  } while (after);
  return { ids: pages.flatMap(({ data }) => data.map(({ id }) => id)), pages };
}

describe('the simulated APIs', { concurrency: 6 }, () => {
  test('the listing gives every active contract once, and says how many there are', async (t) => {
    const simulator = await started(t, { contracts: 250 });
    const { ids, pages } = await listAll(simulator, 'status=active&limit=100');
    assert.deepEqual(
      pages.map(({ data, meta }) => [data.length, meta.total]),
      [100, 100, 50].map((length) => [length, 250]),
    );
    assert.equal(new Set(ids).size, 250);
    assert.ok(pages.every(({ data }) => data.every(({ status }) => status === 'active')));
  });

  test('without the status filter the expired contracts are listed too', async (t) => {
    const simulator = await started(t, { contracts: 90 });
    const all = await listAll(simulator, 'limit=40');
    const expired = await listAll(simulator, 'status=expired');
    const active = await listAll(simulator, 'status=active');
    assert.deepEqual(all.ids, [...active.ids, ...expired.ids].toSorted());
    assert.equal(expired.ids.length, 9);
  });

  test('an empty CRM lists nothing', async (t) => {
    const simulator = await started(t, { contracts: 0 });
    const { ids, pages } = await listAll(simulator, 'status=active');
    assert.deepEqual([ids.length, pages[0]?.meta.total], [0, 0]);
  });

  test('a listed contract leads to its page, and its customer to the usage', async (t) => {
    const simulator = await started(t);
    const { pages } = await listAll(simulator, 'status=active');
    for (const { id, customerId } of pages[0]!.data.slice(0, 10)) {
      const contract = await json(await askCrm(simulator, `/contracts/${id}`));
      assert.deepEqual([contract['id'], contract['customerId']], [id, customerId]);
      const usage = await json(await askUsage(simulator, `/customers/${customerId}/usage?month=2026-03`));
      assert.deepEqual([usage['customerId'], usage['month']], [customerId, '2026-03']);
    }
  });

  test('equal seeds give equal answers and other seeds others', async (t) => {
    const bodies = await Promise.all(
      [3, 3, 4].map(async (seed) => (await askCrm(await started(t, { seed }), '/contracts?limit=50')).text()),
    );
    assert.equal(bodies[0], bodies[1]);
    assert.notEqual(bodies[0], bodies[2]);
  });

  test('what does not exist or is asked wrongly is refused', async (t) => {
    const simulator = await started(t);
    const wrong: [number, Promise<Response>][] = [
      [404, askCrm(simulator, '/contracts/CT-9999999')],
      [404, askCrm(simulator, '/contracts/CT-1')],
      [404, askCrm(simulator, '/contracts/')],
      [404, askCrm(simulator, '/nothing')],
      [400, askCrm(simulator, '/contracts?after=nonsense')],
      [400, askCrm(simulator, '/contracts?limit=0')],
      [404, askUsage(simulator, '/customers/CU-9999999/usage?month=2026-03')],
      [400, askUsage(simulator, '/customers/CU-0000001/usage?month=2026-13')],
      [400, askUsage(simulator, '/customers/CU-0000001/usage')],
      [401, fetch(`${simulator.crmUrl}/contracts`)],
      [401, fetch(`${simulator.crmUrl}/contracts`, { headers: { authorization: 'Bearer wrong' } })],
      [401, fetch(`${simulator.usageUrl}/customers/CU-0000001/usage?month=2026-03`, { headers: crmHeaders })],
      [405, fetch(`${simulator.crmUrl}/contracts`, { headers: crmHeaders, method: 'POST', body: '{}' })],
    ];
    for (const [status, response] of wrong) assert.equal((await response).status, status);
  });

  test('above the limit it answers 429 with Retry-After, and counts each arrival too many', async (t) => {
    const simulator = await started(t, { rate: { requests: 5, per: 60_000 } });
    const responses = await Promise.all(
      Array.from({ length: 8 }, async () => askCrm(simulator, '/contracts/CT-0000001')),
    );
    const refused = responses.filter(({ status }) => status === 429);
    assert.equal(refused.length, 3);
    assert.ok(refused.every(({ headers }) => /^(59|60)$/.test(headers.get('retry-after') ?? '')));
    const { crm, usage } = await simulator.statistics();
    assert.deepEqual(
      [crm.requests, crm.statuses, crm.peak, crm.peakPer, crm.violations, crm.rateLimited],
      [8, { 200: 5, 429: 3 }, 8, 60_000, 3, 3],
    );
    assert.equal(usage.requests, 0);
    assert.equal((await askUsage(simulator, '/customers/CU-0000001/usage?month=2026-03')).status, 200);
  });

  test('a refused request is not an attempt, so it does not heal a flaky record', async (t) => {
    const simulator = await started(t, { faults: { flaky: 1 }, rate: { requests: 1, per: 60_000 } });
    const statuses: number[] = [];
    for (let index = 0; index < 4; index += 1) statuses.push((await askCrm(simulator, '/contracts/CT-0000001')).status);
    assert.deepEqual(statuses.slice(1), [429, 429, 429]);
    assert.deepEqual((await simulator.statistics()).crm.records, { requests: 1, paths: 1, most: 1 });
  });

  async function outcome(simulator: Simulator, path = '/contracts/CT-0000001'): Promise<string> {
    try {
      const response = await fetch(simulator.crmUrl + path, { headers: crmHeaders, signal: AbortSignal.timeout(700) });
      const text = await response.text();
      try {
        JSON.parse(text);
        return `${response.status} JSON`;
      } catch {
        return `${response.status} ${response.headers.get('content-type')?.split(';')[0]} broken`;
      }
    } catch (error) {
      return error instanceof DOMException && error.name === 'TimeoutError' ? 'no end' : 'connection lost';
    }
  }

  const faultOutcomes: [Faults, string][] = [
    [{ dead: 1 }, '500 JSON'],
    [{ missing: 1 }, '404 JSON'],
    [{ malformed: 1 }, '200 application/json broken'],
    [{ html: 1 }, '200 text/html broken'],
    [{ truncated: 1 }, 'connection lost'],
    [{ reset: 1 }, 'connection lost'],
    [{ hanging: 1 }, 'no end'],
    [{ dripping: 1 }, 'no end'],
    [{ slow: 1 }, '200 JSON'],
  ];
  for (const [faults, expected] of faultOutcomes) {
    const name = Object.keys(faults).join();
    test(`the fault "${name}" looks like "${expected}" to a client, and is counted`, async (t) => {
      const simulator = await started(t, { faults, slowBy: 20 });
      assert.equal(await outcome(simulator), expected);
      assert.deepEqual((await simulator.statistics()).crm.faults, { [name]: 1 });
    });
  }

  test('a truncated answer announced more than it brought', async (t) => {
    const simulator = await started(t, { faults: { truncated: 1 } });
    const socket = connect(Number(new URL(simulator.crmUrl).port), '127.0.0.1');
    socket.write(`GET /contracts/CT-0000001 HTTP/1.1\r\nhost: x\r\nauthorization: ${crmHeaders.authorization}\r\n\r\n`);
    let answer = '';
    for await (const piece of socket.setEncoding('utf8')) answer += String(piece);
    const [head = '', body = ''] = answer.split('\r\n\r\n');
    const announced = Number(/content-length: (\d+)/.exec(head)?.[1]);
    assert.equal(Buffer.byteLength(body), announced >> 1);
  });

  test('dead and missing contracts do not kill their customers unless asked to', async (t) => {
    const path = '/customers/CU-0000001/usage?month=2026-03';
    const simulator = await started(t, { faults: { dead: 1 } });
    assert.equal((await askUsage(simulator, path)).status, 200);
    await simulator.setFaults({}, { dead: 1 });
    assert.equal((await askUsage(simulator, path)).status, 500);
    assert.equal((await askCrm(simulator, '/contracts/CT-0000001')).status, 200);
  });

  test('the causes can be mended from outside while it runs', async (t) => {
    const simulator = await started(t, { faults: { dead: 1 }, rate: { requests: 1, per: 60_000 } });
    assert.equal(await outcome(simulator), '500 JSON');
    assert.equal(await outcome(simulator), '429 JSON');
    const control = JSON.stringify({ faults: {}, rate: null, latency: { min: 1, max: 2 }, reset: true });
    const response = await fetch(`${simulator.crmUrl}/_control`, { method: 'POST', body: control });
    assert.deepEqual([response.status, (await json(response))['requests']], [200, 0]);
    assert.equal(await outcome(simulator), '200 JSON');
    assert.equal(await outcome(simulator), '200 JSON');
  });

  test('a control that cannot be meant is refused with its reason and changes nothing', async (t) => {
    const simulator = await started(t);
    for (const body of ['nonsense', '{"faults":{"flakey":1}}', '{"rate":{"requests":0,"per":1}}', '{"speed":1}']) {
      const response = await fetch(`${simulator.crmUrl}/_control`, { method: 'POST', body });
      assert.equal(response.status, 400, body);
      assert.match(String((await json(response))['error']), /\w/);
    }
    assert.equal(await outcome(simulator), '200 JSON');
  });

  test('statistics count requests by kind and know the most that were in flight, and asking for them is not counted', async (t) => {
    const simulator = await started(t, { latency: 40 });
    await Promise.all(['1', '1', '2', '3'].map(async (id) => askCrm(simulator, `/contracts/CT-000000${id}`)));
    await askCrm(simulator, '/contracts');
    const { crm } = await simulator.statistics();
    assert.deepEqual(await json(await fetch(`${simulator.crmUrl}/_statistics`)), crm);
    assert.deepEqual(
      [crm.requests, crm.listing, crm.records, crm.maxConcurrency, crm.inFlight],
      [5, { requests: 1, paths: 1, most: 1 }, { requests: 4, paths: 3, most: 2 }, 4, 0],
    );
  });

  test('it closes although requests hang and drip', async () => {
    const simulator = await startSimulator({ contracts: 10, faults: { hanging: 0.5, dripping: 1 }, latency: 5 });
    const asked = Array.from({ length: 10 }, async (_, index) =>
      askCrm(simulator, `/contracts/CT-000000${index + 1}`.replace('00010', '0010'))
        .then(async (response) => response.text())
        .catch((error: unknown) => error),
    );
    while ((await simulator.statistics()).crm.inFlight < 9) await new Promise(setImmediate);
    await simulator.close();
    for (const ended of await Promise.all(asked)) assert.ok(ended instanceof Error || String(ended).includes('error'));
  });

  test('closing twice is closing once', async () => {
    const simulator = await startSimulator({ contracts: 1 });
    await simulator.close();
    await simulator.close();
    const socket = connect(Number(new URL(simulator.crmUrl).port), '127.0.0.1');
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ECONNREFUSED');
  });

  test('in a thread of its own it answers, counts, changes, forgets and ends the same way', async () => {
    const simulator = await startSimulatorThread({ contracts: 50, faults: { dead: 1 }, seed: 5 });
    try {
      assert.equal(await outcome(simulator), '500 JSON');
      await simulator.setFaults({});
      assert.equal(await outcome(simulator), '200 JSON');
      assert.deepEqual((await simulator.statistics()).crm.statuses, { 200: 1, 500: 1 });
      await simulator.reset();
      assert.equal((await simulator.statistics()).crm.requests, 0);
    } finally {
      await simulator.close();
    }
    await assert.rejects(fetch(simulator.crmUrl));
  });

  test('a port that is taken is a usage error, in a thread as well', async (t) => {
    const port = Number(new URL((await started(t)).crmUrl).port);
    for (const start of [startSimulator, startSimulatorThread]) {
      await assert.rejects(
        start({ port }),
        (error) => error instanceof UsageError && error.message.includes(String(port)),
      );
    }
  });
});
