import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Stop } from '../../../src/jobs/run/stop.ts';
import { StopReason } from '../../../src/jobs/run/stop-reason.ts';

function stop() {
  const [outside, atOnce, lost] = [new AbortController(), new AbortController(), new AbortController()];
  return {
    outside,
    atOnce,
    lost,
    stop: new Stop({ stopping: outside.signal, signal: atOnce.signal, lost: lost.signal }),
  };
}

const signalled = new StopReason('SIGNAL', 'SIGTERM', { exitCode: 143 });
const deadline = new StopReason('DEADLINE', 'too near');
const quota = new StopReason('QUOTA', 'used up');

/** What has ended: everything, admission, the listing. */
const endedOf = ({ signal, stopping, listing }: Stop): boolean[] =>
  [signal, stopping, listing].map((one) => one.aborted);

test('a run that stops by its own reason admits no more chunks, and its listing goes on', () => {
  const { stop: one } = stop();
  assert.deepEqual([endedOf(one), one.reason], [[false, false, false], undefined]);
  one.request(deadline);
  one.request(quota);
  assert.deepEqual(endedOf(one), [false, true, false]);
  assert.equal(one.reason, deadline, 'the first reason stands');
});

test('a run that is told to stop from outside ends its listing too, and says what it was told', () => {
  const { stop: one, outside } = stop();
  one.request(deadline);
  outside.abort(signalled);
  assert.deepEqual(endedOf(one), [false, true, true]);
  assert.equal(one.reason, signalled);
});

test('a second signal, a lost lease and a broken runner end everything at once, and are no reason to stop', () => {
  const why = new Error('why');
  for (const end of [
    (all: ReturnType<typeof stop>) => all.atOnce.abort(why),
    (all: ReturnType<typeof stop>) => all.lost.abort(why),
    (all: ReturnType<typeof stop>) => all.stop.fail(why),
  ]) {
    const all = stop();
    end(all);
    assert.deepEqual(endedOf(all.stop), [true, true, true]);
    assert.equal(all.stop.signal.reason, why);
    assert.equal(all.stop.reason, undefined);
  }
});
