import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import stringWidth from 'string-width';
import { renderProgress, type ProgressSnapshot } from '../../src/observe/render-progress.ts';
import { fitLine } from '../../src/observe/styled-line.ts';
import { snapshotOf } from '../support/snapshot.ts';

function rendered(changes: Partial<ProgressSnapshot>, width = 80): string[] {
  return renderProgress(snapshotOf(changes), { width, colour: false });
}

test('a run in its middle, 100 columns wide', () => {
  assert.deepEqual(rendered({}, 100), [
    'contract-enrichment  2026-03-01  enriching                                                      0:13',
    '━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━──────────────────────────────────  62.4%',
    '1,248 of 2,000 contracts, 3 degraded, 12 failed, 2 of 4 chunks loaded',
    'ETA 0:08, 3:11:22 before 06:00',
    '',
    'crm    ━━━━━━━━━━━─  97/100 per s  12/50 in flight  14 retries  0 × 429  breaker closed',
    'usage                    41 per s    3/8 in flight   0 retries  2 × 429  breaker closed',
  ]);
});

test('a narrow terminal keeps the rates, a breaker that is not closed, and loses the rest from the least important on', () => {
  const [crm, usage] = snapshotOf().apis;
  const apis = [crm!, { ...usage!, breaker: 'open' }];
  assert.deepEqual(rendered({ apis }, 60).slice(5), [
    'crm    97/100 per s  12/50 in flight  breaker closed',
    'usage      41 per s    3/8 in flight  breaker open  ',
  ]);
  assert.deepEqual(rendered({ apis }, 40), [
    'contract-enrichment  2026-03-01  enrich…',
    '━━━━━━━━━━━━━━━━━━━━━━───────────  62.4%',
    '1,248 of 2,000 contracts, 3 degraded, 1…',
    'ETA 0:08, 3:11:22 before 06:00',
    '',
    'crm    97/100 per s  breaker closed',
    'usage      41 per s  breaker open  ',
  ]);
});

test('an API that rests says until when and for how long yet, also where the terminal is narrow, and then its breaker again', () => {
  const [crm, usage] = snapshotOf().apis;
  const shown = (changes: object, width: number): string =>
    rendered({ apis: [{ ...crm!, ...changes }, usage!] }, width).join('\n');
  for (const width of [110, 60])
    assert.match(shown({ restsUntil: '02:15', restsMs: 754_000 }, width), /crm .*rests until 02:15, 12:34 more/);
  assert.doesNotMatch(shown({ restsUntil: '02:15', restsMs: 0, breaker: 'half-open' }, 110), /rests/);
  assert.match(shown({ restsUntil: '02:15', restsMs: 0, breaker: 'half-open' }, 110), /breaker half-open/);
});

test('while the listing goes on its numbers are open-ended and there is no ETA', () => {
  const { etaMs: _etaMs, ...listing } = snapshotOf({
    phase: 'listing',
    listed: 400,
    listingDone: false,
    done: 0,
    failed: 0,
  });
  const lines = renderProgress({ ...listing, degraded: 0, enriched: 0 }, { width: 80, colour: false });
  assert.match(lines[0]!, /listing and enriching +0:13$/);
  assert.deepEqual(lines.slice(2, 4), [
    '0 of 400+ contracts, 0 failed, 2 of 4+ chunks loaded',
    'ETA not known yet, 3:11:30 until 06:00',
  ]);
});

test('while the listing goes on there is a share only of what the source says there is in all', () => {
  const { etaMs: _etaMs, ...listing } = snapshotOf({ phase: 'listing', listed: 1000, listingDone: false, done: 400 });
  const linesOf = (facts: ProgressSnapshot): string[] => renderProgress(facts, { width: 40, colour: false });
  assert.deepEqual(linesOf(listing).slice(1, 3), [
    '────────────────────────────────────────',
    '400 of 1,000+ contracts, 3 degraded, 12…',
  ]);
  const told = linesOf({ ...listing, sourceTotal: 2000, enriched: 385, etaMs: 52_000 });
  assert.deepEqual(told.slice(1, 3), [
    '━━━━━━━━─────────────────────────  20.0%',
    '400 of 2,000 contracts, 3 degraded, 12 …',
  ]);
  // A source that counted wrong knows the whole no better than we do.
  assert.match(linesOf({ ...listing, sourceTotal: 900 })[1]!, /^─+$/);
});

test('a run that was told to stop says what it waits for, and gives no time for the whole night', () => {
  const stopping = { stopping: true, working: 287, etaMs: 4_000, graceMs: 29_000 };
  const lines = rendered(stopping, 100);
  assert.match(lines[0]!, /^contract-enrichment {2}2026-03-01 {2}stopping +0:13$/);
  assert.match(lines[1]!, /62\.4%$/);
  assert.equal(lines[3], 'finishing 287 contracts in progress, about 0:04, at most 0:29');
  assert.equal(
    rendered({ stopping: true, working: 1, etaMs: 4_000 })[3],
    'finishing 1 contract in progress, about 0:04',
  );
  assert.equal(rendered({ ...stopping, working: 0 })[3], 'no further contract is started; loading what was fetched');
  assert.match(rendered({ ...stopping, phase: 'closing' })[0]!, / closing +0:13$/);
});

test('the bar and its percentage never run backwards, whatever is listed, done and asked again', () => {
  const step = fc.record({ lists: fc.nat(500), does: fc.nat(400) });
  const night = fc.record({ steps: fc.array(step, { maxLength: 30 }), told: fc.boolean(), again: fc.nat(50) });
  fc.assert(
    fc.property(night, ({ steps, told, again }) => {
      const all = steps.reduce((sum, { lists }) => sum + lists, 0);
      const facts = { listed: 0, done: 0, enriched: 0, degraded: 0, failed: 0, ...(told && { sourceTotal: all }) };
      const shown: ProgressSnapshot[] = [];
      const show = (phase: ProgressSnapshot['phase']): void =>
        void shown.push(snapshotOf({ ...facts, phase, listingDone: phase !== 'listing', apis: [] }));
      for (const { lists, does } of steps) {
        facts.listed += lists;
        facts.enriched = facts.done = Math.min(facts.listed, facts.done + does);
        show('listing');
      }
      show('enriching');
      const failed = Math.min(again, facts.listed);
      Object.assign(facts, { done: facts.listed, enriched: facts.listed - failed, failed });
      show('enriching');
      Object.assign(facts, { done: facts.listed - failed, failed: 0 });
      show('second-chance');
      Object.assign(facts, { done: facts.listed, failed });
      show('closing');
      const bars = shown.map((one) => renderProgress(one, { width: 60, colour: false })[1]!);
      const cells = bars.map((line) => line.split('━').length);
      const percents = bars.map((line) => Number(/([\d.]+)%/.exec(line)?.[1] ?? 0));
      for (const values of [cells, percents])
        assert.deepEqual(
          values,
          values.toSorted((a, b) => a - b),
        );
    }),
  );
});

test('a run that will end too late says by how much', () => {
  assert.equal(rendered({ etaMs: 3_600_000, finishByMs: 600_000 })[3], 'ETA 1:00:00, 50:00 after 06:00');
  assert.equal(rendered({ etaMs: 0, finishByMs: -5_000 })[3], 'ETA 0:00, 0:05 after 06:00');
});

test('100% is said only when all is done, and an empty listing is all done', () => {
  assert.match(rendered({ listed: 100_000, done: 99_999, enriched: 99_984 })[1]!, / 99\.9%$/);
  assert.match(rendered({ listed: 2000, done: 2000, enriched: 1985 })[1]!, /^━+ 100\.0%$/);
  assert.match(rendered({ listed: 0, done: 0, enriched: 0, degraded: 0, failed: 0 })[1]!, /^─+ 100\.0%$/);
});

test('one failure among very many is seen in the bar', () => {
  const changes = { listed: 1_000_000, done: 500_001, enriched: 500_000, degraded: 0, failed: 1 };
  assert.ok(renderProgress(snapshotOf(changes), { width: 80, colour: true })[1]!.includes('\u001b[31m━\u001b[39m'));
});

test('what an API or a job is called cannot move the cursor or turn the text around', () => {
  const [api] = snapshotOf().apis;
  const lines = rendered({ job: 'a\u001b[2Jb\tc\nd', apis: [{ ...api!, name: '\u202Ecrm\u009B' }] });
  assert.ok(lines[0]!.startsWith('a\uFFFD[2Jb\uFFFDc\uFFFDd  2026'));
  assert.ok(lines[5]!.startsWith('\uFFFDcrm\uFFFD  ━'));
});

const amount = fc.oneof(fc.nat(), fc.double({ min: 0, max: 1e15 }));
const name = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('crm', '日本語のAPI', '🚀👩‍👩‍👧', 'e\u0301\u0301'));
const anySnapshot: fc.Arbitrary<ProgressSnapshot> = fc
  .record({
    job: name,
    phase: fc.constantFrom('listing', 'enriching', 'second-chance', 'closing'),
    listed: amount,
    listingDone: fc.boolean(),
    enriched: amount,
    degraded: amount,
    failed: amount,
    done: amount,
    elapsedMs: amount,
    etaMs: amount,
    finishByMs: fc.double({ min: -1e12, max: 1e12, noNaN: true }),
    apis: fc.array(
      fc.record({
        name,
        ratePerSecond: amount,
        limitPerSecond: fc.double({ min: 0, max: 1e6, noNaN: true }),
        inFlight: amount,
        concurrency: amount,
        requests: amount,
        retries: amount,
        rateLimited: amount,
        breaker: fc.constantFrom('closed', 'open', 'half-open'),
      }),
      { maxLength: 4 },
    ),
  })
  .map((changes) => snapshotOf(changes));

test('no line is wider than the terminal, and colours change nothing but colours', () => {
  fc.assert(
    fc.property(anySnapshot, fc.integer({ min: 0, max: 200 }), (snapshot, width) => {
      const plain = renderProgress(snapshot, { width, colour: false });
      const coloured = renderProgress(snapshot, { width, colour: true });
      for (const line of plain) {
        assert.ok(stringWidth(line) <= width, `${stringWidth(line)} columns: ${line}`);
        assert.doesNotMatch(line, /\p{Cc}/u);
      }
      assert.deepEqual(coloured.map(stripVTControlCharacters), plain);
    }),
  );
});

test('a line is cut by the columns its characters take, never within one', () => {
  const cut = (text: string, width: number): string => fitLine([text], { width, colour: false });
  assert.deepEqual(
    [
      ['日本語', 6],
      ['日本語', 5],
      ['日本語', 4],
      ['👩‍👩‍👧👩‍👩‍👧', 3],
      ['e\u0301e\u0301e\u0301', 2],
      ['abc', 1],
      ['abc', 0],
    ].map(([text, width]) => cut(text as string, width as number)),
    ['日本語', '日本…', '日…', '👩‍👩‍👧…', 'e\u0301…', '…', ''],
  );
});
