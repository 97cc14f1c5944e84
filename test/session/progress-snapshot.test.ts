import assert from 'node:assert/strict';
import { test } from 'node:test';
import { progressSnapshot } from '../../src/session/progress-snapshot.ts';
import { newTally, type Tally } from '../../src/jobs/run/progress.ts';
import type { RunContext } from '../../src/jobs/run/run-context.ts';
import { FakeClock } from '../support/fake-clock.ts';

/** A run that has taken ten seconds, and what its progress says. */
function progressOf(before: Partial<Tally>, graceLeft?: number) {
  const clock = new FakeClock();
  const stopping = new AbortController();
  const tally = { ...newTally(), ...before };
  const job = { name: 'night', timezone: 'UTC', apis: {} };
  const context = {
    job,
    businessDate: '2026-11-21',
    clock,
    progress: { tally },
    admission: { finishBy: null },
    lookups: { apis: new Map() },
    stop: { stopping: stopping.signal },
  };
  const snapshot = progressSnapshot(context as unknown as RunContext, {
    graceLeft: () => graceLeft,
  });
  return async (now: Partial<Tally>, o: { stop?: boolean } = {}) => {
    await clock.advance(10_000);
    Object.assign(tally, now);
    if (o.stop) stopping.abort();
    const { etaMs, working, graceMs } = snapshot();
    return { etaMs, working, graceMs };
  };
}

const quiet = { working: undefined, graceMs: undefined };

test('while the listing goes on an ETA is given only where the source says how many contracts there are', async () => {
  const listing = { listed: 1000, enriched: 500, begun: 1000 };
  assert.deepEqual(await progressOf({})(listing), { etaMs: undefined, ...quiet });
  assert.deepEqual(await progressOf({})({ ...listing, sourceTotal: 2000 }), { etaMs: 30_000, ...quiet });
  assert.deepEqual(await progressOf({})({ ...listing, sourceTotal: 900 }), { etaMs: undefined, ...quiet });
  assert.deepEqual(await progressOf({})({ ...listing, phase: 'enriching' }), { etaMs: 10_000, ...quiet });
});

test('a run that was told to stop waits for what was begun, and not for the whole night', async () => {
  const begun = { phase: 'enriching', listed: 10_000, begun: 600, enriched: 480, failed: 20 } as const;
  assert.deepEqual(await progressOf({}, 29_000)(begun, { stop: true }), {
    etaMs: 2_000,
    working: 100,
    graceMs: 29_000,
  });
  // What an earlier run has done is nobody's work now.
  const resumed = { ...begun, enriched: 5_480 };
  assert.equal((await progressOf({ enriched: 5_000 })(resumed, { stop: true })).working, 100);
});
