import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Slots } from '../../src/sources/slots.ts';

test('work whose caller gave up while it waited is never begun, and its place goes to the next', async () => {
  const slots = new Slots(1);
  const controller = new AbortController();
  const begun: string[] = [];
  const work = (name: string) => async () => {
    begun.push(name);
    await delay(5);
    return name;
  };
  const first = slots.run(work('first'), controller.signal);
  const given = slots.run(work('given up'), controller.signal);
  const last = slots.run(work('last'));
  controller.abort(new Error('enough'));
  await assert.rejects(given, { message: 'enough' });
  assert.equal(slots.inUse, 1, 'the running work keeps its slot until it has ended');
  assert.deepEqual(await Promise.all([first, last]), ['first', 'last']);
  assert.deepEqual(begun, ['first', 'last']);
  assert.equal(slots.peak, 1);
});

test('an error of the work is the error of the run, and frees the slot', async () => {
  const slots = new Slots(1);
  await assert.rejects(
    slots.run(async () => Promise.reject(new Error('broken'))),
    { message: 'broken' },
  );
  assert.equal(await slots.run(async () => Promise.resolve(1)), 1);
});
