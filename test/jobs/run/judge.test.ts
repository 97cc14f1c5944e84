import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judge } from '../../../src/jobs/run/judge.ts';
import { StopReason } from '../../../src/jobs/run/stop-reason.ts';
import type { ReportBody } from '../../../src/report/schema.ts';
import { wholeNight } from '../../support/evidence.ts';

type Controls = ReportBody['controls'];

const control = (result: Controls[number]['result'], severity: Controls[number]['severity'] = 'fail') => ({
  name: 'sum of amount',
  type: 'sum' as const,
  expected: '1',
  actual: '2',
  delta: '1',
  tolerance: '0',
  severity,
  result,
});

const stopped = (code: StopReason['code'], exitCode?: number): StopReason =>
  new StopReason(code as 'DEADLINE', 'the deadline was too near', exitCode === undefined ? {} : { exitCode });

interface Night {
  counts?: Partial<ReportBody['counts']>;
  controls?: Controls;
  mode?: ReportBody['run']['mode'];
  broken?: boolean;
  listFailed?: boolean;
  unlisted?: boolean;
  booksBroken?: boolean;
  stopReason?: StopReason;
}

/** `partial 3`. */
function verdict({ counts: changes, controls = [], mode = 'normal', ...ended }: Night): string {
  const body = { counts: { ...wholeNight, ...changes }, controls, run: { mode } } as unknown as ReportBody;
  const { status, exitCode } = judge(body, {
    broken: false,
    listFailed: false,
    unlisted: false,
    booksBroken: false,
    stopReason: undefined,
    ...ended,
  });
  return `${status} ${exitCode}`;
}

const failed = { failed: 1, enriched: 9 };
const left = { notStarted: 5, enriched: 5 };

for (const [what, night, expected] of [
  ['with every contract loaded and every control passed succeeded', { controls: [control('pass')] }, 'succeeded 0'],
  ['of which a contract failed is partial', { counts: failed }, 'partial 3'],
  ['of which chunks were not started, and that nobody stopped, is partial', { counts: left }, 'partial 3'],
  ['that could not look once more at what it had left is partial', { unlisted: true }, 'partial 3'],
  ['that the deadline stopped is stopped', { counts: left, stopReason: stopped('DEADLINE') }, 'stopped 6'],
  ['stopped before it listed is stopped', { unlisted: true, stopReason: stopped('API_RESTS') }, 'stopped 6'],
  ['stopped with everything loaded succeeded all the same', { stopReason: stopped('DEADLINE') }, 'succeeded 0'],
  [
    'that was stopped, with a contract that failed, tells of the failure by its exit code',
    { counts: { ...left, failed: 1 }, stopReason: stopped('QUOTA') },
    'stopped 3',
  ],
  ['that SIGINT stopped', { counts: left, stopReason: stopped('SIGNAL', 130) }, 'stopped 130'],
  ['that SIGTERM stopped', { counts: left, stopReason: stopped('SIGNAL', 143) }, 'stopped 143'],
  [
    'that a signal stopped with rows held back',
    { counts: { staged: 3 }, stopReason: stopped('SIGNAL') },
    'stopped 130',
  ],
  ['that a signal came too late for succeeded', { stopReason: stopped('SIGNAL', 143) }, 'succeeded 0'],
  ['with a control that failed', { controls: [control('pass'), control('fail')] }, 'controls-failed 4'],
  ['with a control that fails and only warns succeeded', { controls: [control('fail', 'warn')] }, 'succeeded 0'],
  ['with a control that is not evaluated succeeded', { controls: [control('not-evaluated')] }, 'succeeded 0'],
  ['that is a dry run has no control to fail', { controls: [control('fail')], mode: 'dry-run' }, 'succeeded 0'],
  [
    'whose books do not balance is no night, dry run or not',
    { booksBroken: true, mode: 'dry-run' },
    'controls-failed 4',
  ],
  ['whose listing failed', { listFailed: true }, 'failed 1'],
  ['that broke', { broken: true }, 'failed 1'],
] as const satisfies readonly [string, Night, string][]) {
  test(`a run ${what}: ${expected}`, () => assert.equal(verdict(night as Night), expected));
}

test('where several apply the exit code is 1, 4, 3, 6, in this order; a signal comes before a control', () => {
  const night: Night = { counts: { ...left, failed: 1 }, stopReason: stopped('DEADLINE'), controls: [control('fail')] };
  assert.equal(verdict({ ...night, broken: true, booksBroken: true }), 'failed 1');
  assert.equal(verdict({ ...night, booksBroken: true }), 'controls-failed 4');
  assert.equal(verdict(night), 'controls-failed 4');
  assert.equal(verdict({ ...night, controls: [] }), 'stopped 3');
  assert.equal(verdict({ ...night, stopReason: stopped('SIGNAL', 143) }), 'stopped 143');
  assert.equal(verdict({ ...night, stopReason: stopped('SIGNAL', 143), booksBroken: true }), 'controls-failed 4');
});
