import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { systemClock } from '../../../src/resilience/clock.ts';
import { Api } from '../../../src/sources/api/api.ts';
import { apiOptions } from '../../support/api-fixture.ts';
import { ScriptedServer } from '../../support/scripted-server.ts';

test('however many requests are in flight, they take one listener of their signal, and two timers of their API', async () => {
  const all = Promise.withResolvers<void>();
  const answers = Promise.withResolvers<void>();
  let asked = 0;
  await using server = await ScriptedServer.start(async () => {
    asked += 1;
    if (asked === 20) all.resolve();
    await answers.promise;
    return { json: {} };
  });
  let timers = 0;
  const clock = {
    ...systemClock,
    sleep: async (ms: number, signal?: AbortSignal) => {
      timers += 1;
      return systemClock.sleep(ms, signal).finally(() => (timers -= 1));
    },
  };
  await using api = new Api(apiOptions(server.origin, { limits: { concurrency: 10 }, connections: 20 }), { clock });
  await using other = new Api(apiOptions(server.origin, { limits: { concurrency: 10 }, connections: 20 }), { clock });
  const { signal } = new AbortController();
  const deadline = clock.now() + 60_000;
  const requests = [api, other].flatMap((one) =>
    // Ten of each are in flight, and five wait for a slot.
    Array.from({ length: 15 }, async (_, id) => one.request({ url: `/${id}`, lane: 'contract', signal, deadline })),
  );
  await all.promise;
  const listeners = (): number => getEventListeners(signal, 'abort').length;
  const inFlight = { listeners: listeners(), timers };
  answers.resolve();
  await Promise.all(requests);
  // Of each API: one timer for the attempts and one for the deadline.
  assert.deepEqual(inFlight, { listeners: 1, timers: 2 * 2 });
  // What was cancelled ends with the next turn.
  await new Promise(setImmediate);
  assert.deepEqual({ listeners: listeners(), timers }, { listeners: 0, timers: 0 });
});
