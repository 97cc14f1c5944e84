import assert from 'node:assert/strict';
import { test } from 'node:test';
import { comingStarts, keepSchedule, missedStarts, type Start, type Timetable } from '../../src/jobs/schedule.ts';
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
function scheduled(
  at: string,
  o: { takes?: number; timetable?: Timetable; catchUp?: 'last' | 'none'; missing?: (start: Start) => boolean } = {},
) {
  const clock = new FakeClock();
  clock.stepWall(Date.parse(at) - clock.wallNow());
  const starts: Start[] = [];
  const stop = new AbortController();
  const passed: Start[] = [];
  const said: string[] = [];
  const { missing } = o;
  const ended = keepSchedule(o.timetable ?? nightly, {
    clock,
    catchUp: o.catchUp ?? 'last',
    ...(missing && { missing: async (start) => Promise.resolve(missing(start)) }),
    passedOver: (start) => void passed.push(start),
    setBack: ({ byMs, next }) => void said.push(`set back by ${byMs / hour} h, next ${next?.toISOString()}`),
    repeated: ({ businessDate }) => void said.push(`${businessDate} was begun already`),
    signal: stop.signal,
    start: async (start) => {
      starts.push(start);
      await clock.sleep(o.takes ?? 0);
    },
  });
  return { clock, starts, passed, said, stop: async () => (stop.abort(), ended) };
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

for (const { zone, spring, autumn } of [
  { zone: 'Europe/Berlin', spring: '2026-03-29', autumn: '2026-10-25' },
  { zone: 'America/New_York', spring: '2026-03-08', autumn: '2026-11-01' },
])
  for (const day of [spring, autumn])
    test(`the night of ${day} in ${zone} has one run, also at the hours that change`, async () => {
      // Berlin changes between 2 and 3, New York too.
      for (const schedule of ['30 1 * * *', '30 2 * * *', '0 3 * * *']) {
        const begin = new Date(Date.parse(`${day}T12:00:00Z`) - 24 * hour);
        const { clock, starts, stop } = scheduled(begin.toISOString(), { timetable: { schedule, timezone: zone } });
        await clock.advance(24 * hour);
        assert.deepEqual(
          starts.map(({ businessDate, skipped }) => [businessDate, skipped]),
          [[day, 0]],
          schedule,
        );
        await stop();
      }
    });

test('with catchUp none a start that was slept through is passed over, and the next one comes', async () => {
  const { clock, starts, passed, stop } = scheduled('2026-06-01T12:00:00Z', { catchUp: 'none' });
  await clock.advance(1);
  clock.stepWall(72 * hour);
  await clock.advance(60_000);
  assert.deepEqual(
    [starts.length, passed.map(({ businessDate, skipped }) => [businessDate, skipped])],
    [0, [['2026-06-04', 2]]],
  );
  await clock.advance(24 * hour);
  assert.deepEqual(
    starts.map(({ businessDate }) => businessDate),
    ['2026-06-05'],
  );
  await stop();
});

test('a clock set back starts no night a second time', async () => {
  const { clock, starts, said, stop } = scheduled('2026-06-01T00:00:00Z');
  await clock.advance(hour);
  assert.equal(starts.length, 1);
  clock.stepWall(-hour);
  await clock.advance(2 * hour);
  assert.equal(starts.length, 1);
  assert.deepEqual(said, ['set back by 1 h, next 2026-06-01T00:30:00.000Z', '2026-06-01 was begun already']);
  await stop();
});

test('a clock that was ten days ahead and is corrected misses no night, and each is run once', async () => {
  // What was due before this process came up has been done; the night of the first, over which the clock was wrong, not.
  const missing = ({ businessDate }: Start): boolean => businessDate === '2026-06-01';
  const { clock, starts, said, stop } = scheduled('2026-06-11T00:00:00Z', { missing });
  await clock.advance(hour);
  clock.stepWall(-10 * 24 * hour);
  await clock.advance(11 * 24 * hour);
  assert.deepEqual(
    starts.map(({ businessDate }) => businessDate),
    [11, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12].map((day) => `2026-06-${String(day).padStart(2, '0')}`),
  );
  assert.deepEqual(said, ['set back by 240 h, next 2026-06-02T00:30:00.000Z', '2026-06-11 was begun already']);
  await stop();
});

test('a clock that is set back while a run is at work is noticed when it has ended', async () => {
  const { clock, starts, said, stop } = scheduled('2026-06-11T00:29:00Z', { takes: 2 * hour });
  await clock.advance(hour);
  clock.stepWall(-10 * 24 * hour);
  await clock.advance(50 * hour);
  assert.deepEqual(
    starts.map(({ businessDate }) => businessDate),
    ['2026-06-11', '2026-06-02', '2026-06-03'],
  );
  assert.deepEqual(said, ['set back by 240 h, next 2026-06-02T00:30:00.000Z']);
  await stop();
});

test('the last start before the process came up is made up for when it is missing, and only that one', async () => {
  const asked: string[] = [];
  for (const isMissing of [true, false]) {
    const { clock, starts, stop } = scheduled('2026-06-05T12:00:00Z', {
      missing: ({ businessDate }) => (asked.push(businessDate), isMissing),
    });
    await clock.advance(1);
    assert.deepEqual(
      starts.map(({ due, businessDate }) => [due.toISOString(), businessDate]),
      isMissing ? [['2026-06-05T00:30:00.000Z', '2026-06-05']] : [],
    );
    await stop();
  }
  assert.deepEqual(asked, ['2026-06-05', '2026-06-05']);
  const none = scheduled('2026-06-05T12:00:00Z', { catchUp: 'none', missing: () => assert.fail('not asked') });
  await none.clock.advance(1);
  assert.equal(none.starts.length, 0);
  await none.stop();
});
