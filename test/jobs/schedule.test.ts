import assert from 'node:assert/strict';
import { test } from 'node:test';
import { comingStarts, keepSchedule, missedStarts, type Start } from '../../src/jobs/schedule.ts';
import { FakeClock } from '../support/fake-clock.ts';

const nightly = { schedule: '30 2 * * *', timezone: 'Europe/Berlin' };
const from = (text: string) => new Date(text);
const iso = (dates: Date[]) => dates.map((date) => date.toISOString());

test('on the spring day the hour that is skipped does not skip the night', () => {
  const starts = comingStarts(nightly, { from: from('2026-03-28T12:00:00Z'), count: 2 });
  assert.equal(starts.length, 2);
  assert.equal(iso(starts)[0]!.slice(0, 10), '2026-03-29', 'the night of the change has its run');
  assert.equal(iso(starts)[1], '2026-03-30T00:30:00.000Z');
});

test('on the autumn day the hour that comes twice makes one run', () => {
  const starts = missedStarts(nightly, { after: from('2026-10-24T12:00:00Z'), until: from('2026-10-25T12:00:00Z') });
  assert.equal(starts.length, 1, iso(starts).join());
});

/** Runs the schedule on a fake clock whose wall shows `at` now. */
function scheduled(at: string, o: { takes?: number } = {}) {
  const clock = new FakeClock();
  clock.stepWall(Date.parse(at) - clock.wallNow());
  const starts: Start[] = [];
  const stop = new AbortController();
  const ended = keepSchedule(nightly, {
    clock,
    signal: stop.signal,
    start: async (start) => {
      starts.push(start);
      await clock.sleep(o.takes ?? 0);
    },
  });
  return { clock, starts, stop: async () => (stop.abort(), ended) };
}

const hour = 3_600_000;

test('starts when it is due, for the day it was due, and not before', async () => {
  const { clock, starts, stop } = scheduled('2026-06-01T00:00:00Z');
  await clock.advance(hour / 2 - 1);
  assert.equal(starts.length, 0);
  await clock.advance(1);
  assert.deepEqual(
    starts.map(({ due, businessDate, skipped }) => [due.toISOString(), businessDate, skipped]),
    [['2026-06-01T00:30:00.000Z', '2026-06-01', 0]],
  );
  await stop();
  assert.equal(clock.pending.length, 0, 'nothing is left waiting');
});

test('after a long sleep of the machine the last missed start is made up for, once', async () => {
  const { clock, starts, stop } = scheduled('2026-06-01T12:00:00Z');
  await clock.advance(1);
  clock.stepWall(72 * hour);
  await clock.advance(60_000);
  assert.deepEqual(
    starts.map(({ businessDate, skipped }) => [businessDate, skipped]),
    [['2026-06-04', 2]],
  );
  await stop();
});

test('a run that outlasts the next start is followed by it, never joined', async () => {
  const { clock, starts, stop } = scheduled('2026-06-01T00:29:00Z', { takes: 25 * hour });
  await clock.advance(60_000 + 24 * hour);
  assert.equal(starts.length, 1, 'the second is due, and the first still runs');
  await clock.advance(hour);
  assert.deepEqual(
    starts.map(({ businessDate }) => businessDate),
    ['2026-06-01', '2026-06-02'],
  );
  const ended = stop();
  await clock.advance(25 * hour);
  await ended;
});
