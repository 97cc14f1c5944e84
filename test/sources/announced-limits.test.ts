import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Api, type RequestError } from '../../src/sources/api.ts';
import { apiOptions, startApi } from '../support/api-fixture.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { mostWithin } from '../support/strict-server.ts';

test('a lower limit that the API announces, less headroom, is kept from then on and told once; a higher one changes nothing', async () => {
  let policy = '"a";q=1000;w=1';
  await using server = await ScriptedServer.start(() => ({ json: 1, headers: { 'ratelimit-policy': policy } }));
  const told: object[] = [];
  await using api = new Api(
    apiOptions(server.origin, { limits: { concurrency: 4, rates: [{ requests: 12, per: 300 }], headroom: 0.5 } }),
    { onLowered: (info) => told.push(info) },
  );
  const ask = async (count: number): Promise<void> =>
    void (await Promise.all(Array.from({ length: count }, async () => api.request({ url: '/a' }))));
  await ask(12);
  assert.deepEqual(told, []);
  assert.equal(
    mostWithin(
      server.requests.map(({ at }) => at),
      300,
    ),
    12,
  );
  policy = '"a";q=6;w=1';
  await ask(1);
  policy = '"a";q=1000;w=1';
  const before = server.requests.length;
  await ask(9);
  const after = server.requests.slice(before).map(({ at }) => at);
  assert.ok(mostWithin(after, 300) <= 3, `${mostWithin(after, 300)} of 3`);
  assert.deepEqual(told, [{ api: 'crm', requests: 3, per: 1000 }]);
  assert.deepEqual(api.statistics().rates[0], { requests: 12, perMs: 300, peak: 12 });
});

for (const [how, rates] of [
  ['with a window', [{ requests: 100, per: 1000 }]],
  ['without a window', []],
] as const) {
  test(`when nothing is left, everybody waits until the reset, ${how}`, async () => {
    const left = [
      { 'x-ratelimit-remaining': '7', 'x-ratelimit-reset': '1000' },
      { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1' },
    ];
    await using crm = await startApi(() => ({ json: 1, headers: left.shift() ?? {} }), {
      limits: { rates: [...rates] },
    });
    const { api, server } = crm;
    await api.request({ url: '/some-left' });
    await api.request({ url: '/none-left' });
    await Promise.all(['/b', '/c', '/d'].map(async (url) => api.request({ url })));
    const [, last, ...later] = server.requests;
    assert.equal(later.length, 3);
    for (const { at } of later) assert.ok(at - last!.at >= 1000, `${at - last!.at} ms`);
    assert.equal(api.statistics().rateLimited, 0, 'it was told before it was refused');
  });

  test(`a wait that begins while another is sat out is sat out as well, ${how}`, async () => {
    await using crm = await startApi(
      async ({ url }) => {
        if (url === '/slow') await delay(100);
        const reset = ['/fast', '/slow'].includes(url) ? '0.3' : '0';
        return { json: 1, headers: { 'ratelimit-remaining': '0', 'ratelimit-reset': reset } };
      },
      { limits: { rates: [...rates] } },
    );
    const { api, server } = crm;
    const slow = api.request({ url: '/slow' });
    await api.request({ url: '/fast' });
    await Promise.all([slow, api.request({ url: '/later' })]);
    const [asked, , later] = server.requests;
    assert.ok(later!.at - asked!.at >= 400, `${later!.at - asked!.at} ms`);
  });

  test(`a reset beyond everybody's patience fails also those who wait already, with the time to come back, ${how}`, async () => {
    await using crm = await startApi(
      async ({ url }) => {
        if (url === '/first') return { json: 1, headers: { 'ratelimit-remaining': '0', 'ratelimit-reset': '0.4' } };
        await delay(100);
        return { json: 1, headers: { 'ratelimit-remaining': '0', 'ratelimit-reset': '3600' } };
      },
      { limits: { rates: [...rates] }, retry: { maxElapsed: 1_000 } },
    );
    const { api, server } = crm;
    const slow = api.request({ url: '/slow' });
    await api.request({ url: '/first' });
    const ended = Promise.allSettled([
      ...['/b', '/c'].map(async (url) => api.request({ url })),
      slow.then(async () => api.request({ url: '/d' })),
    ]);
    for (const one of await ended) {
      assert.equal(one.status, 'rejected');
      const error = one.reason as RequestError;
      assert.equal(error.code, 'RATE_LIMITED');
      assert.ok(Math.abs(error.retryAt! - Date.now() - 3_600_000) < 60_000);
    }
    assert.equal(server.requests.length, 2);
  });
}
