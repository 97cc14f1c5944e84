import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, describe, test } from 'node:test';
import { createDatabase } from '../../support/database.ts';
import { isLong } from '../../support/long.ts';
import { allOddAnswers } from '../../support/odd-answers/all.ts';
import { type Expected, ofListing, ofToken } from '../../support/odd-answers/expected.ts';
import type { OddAnswer, Outcome } from '../../support/odd-answers/odd-answer.ts';
import { type NightOptions, type OddNight, rate } from '../../support/odd-answers/odd-night.ts';
import { contracts, keyOf } from '../../support/odd-answers/odd-script.ts';
import { cutPage, oddAnswersPart, timesIn } from '../../support/odd-answers/page.ts';
import { OddThread } from '../../support/odd-answers/odd-thread.ts';
import { mostWithin } from '../../support/strict-server.ts';

const { url: databaseUrl } = await createDatabase({ after });
const thread = await OddThread.start(databaseUrl);

after(async () => thread[Symbol.asyncDispose]());

/** Of 300 contracts so many at most are answered oddly in one night: the promise is about few of many. */
const mostAtOnce = 9;
/** Of answers that say "too many": where a tenth of all requests is refused, it is about the pace. */
const mostRefused = 3;

/** Those that take long apart from the others. */
function inGroups(all: readonly OddAnswer[], size: number): OddAnswer[][] {
  const parts = [all.filter(({ slow }) => slow), all.filter(({ slow }) => !slow)];
  return parts.flatMap((part) =>
    Array.from({ length: Math.ceil(part.length / size) }, (_, group) => part.slice(group * size, (group + 1) * size)),
  );
}

const isRefused = ({ contract }: OddAnswer): boolean => contract.code === 'RATE_LIMITED';

const numbers = Array.from({ length: contracts }, (_, index) => index + 1);

const reportOf = (night: OddNight) => {
  assert(night.report, `no report: ${night.error?.message}`);
  return night.report;
};

/** The books of a night, whatever was answered. */
function assertWholeAndWithinLimits(night: OddNight): void {
  const { counts, failures, controls } = reportOf(night);
  assert.equal(counts.enriched + counts.failed + counts.notStarted, counts.listed);
  assert.equal(failures.filter(({ key }) => key !== null).length, counts.failed);
  assert.equal(night.rows.length, counts.enriched, 'the target holds what the report says');
  for (const { name, result } of controls) assert.notEqual(result, 'fail', name);
  assert.equal(night.strayed, 0, 'nothing is asked of another server');
  const arrivals = night.requests.map(({ at }) => at);
  const within = mostWithin(arrivals, rate.per - night.stalledMs);
  assert(within <= rate.requests, `${within} requests arrived within ${rate.per} ms`);
}

/** Requests that do not count as attempts: for a connection that had died, and for a refusal of the pace. */
function mostSent({ code, attempts }: Outcome): number {
  if (code === 'RATE_LIMITED') return 3 * attempts;
  // Once in its turn and once in its second chance.
  return code === 'CONNECTION_RESET' ? attempts + 2 : attempts;
}

describe('one contract of 300 is always answered with', { concurrency: 6 }, () => {
  const alone = allOddAnswers.filter((odd) => odd.alone);
  const others = allOddAnswers.filter((odd) => !odd.alone);
  for (const group of [
    ...alone.map((odd) => [odd]),
    ...inGroups(others.filter(isRefused), mostRefused),
    ...inGroups(
      others.filter((odd) => !isRefused(odd)),
      mostAtOnce,
    ),
  ]) {
    const placed = group.map((odd, index) => [odd, 30 * index + 17] as const);
    test(
      group.length === 1 ? group[0]!.answer : `one each of ${group.map(({ answer }) => answer).join('; ')}`,
      async () => {
        const [night] = await thread.run({
          what: 'contracts',
          odd: placed.map(([{ answer }, number]) => [answer, number]),
        });
        assert(night);
        const { counts, failures, run } = reportOf(night);
        const failing = placed.filter(([{ contract }]) => contract.code !== 'enriched');
        assert.deepEqual(
          failures.map(({ key, code, attempts }) => [key, code, attempts]),
          failing.map(([{ contract }, number]) => [keyOf(number), contract.code, contract.attempts]),
        );
        const failed = new Set(failing.map(([, number]) => number));
        assert.deepEqual(night.rows, numbers.filter((number) => !failed.has(number)).map(keyOf));
        assert.equal(counts.listed, contracts);
        assert.equal(run.exitCode, failing.length > 0 ? 3 : 0);
        assertWholeAndWithinLimits(night);
        let asked = 0;
        for (const [{ contract, answer }, number] of placed) {
          const sent = night.requests.filter(({ url }) => url.endsWith(`/${keyOf(number)}`)).length;
          asked += sent;
          assert(sent >= contract.attempts && sent <= mostSent(contract), `${answer}: ${sent} requests`);
        }
        const healthy = contracts - group.length + 3;
        assert(night.requests.length - asked <= 1.1 * healthy, `${night.requests.length} requests in all`);
      },
    );
  }
});

describe('the second page of the listing is always answered with', { concurrency: 6 }, () => {
  for (const odd of representatives(allOddAnswers, ofListing)) {
    const expected = ofListing(odd);
    test(odd.answer, async () => {
      const [night, mended] = await thread.run(
        { what: 'listing', odd: [odd.answer] },
        { mended: true, ...timeFor(expected) },
      );
      assert(night && mended);
      const { counts, failures, run } = reportOf(night);
      assert.equal(run.exitCode, expected.exitCode);
      assertWholeAndWithinLimits(night);
      if (expected.exitCode === 6) assert.deepEqual(failures, []);
      else
        assert.deepEqual(
          failures.map(({ key, code }) => [key, code]),
          expected.code === null ? [] : [[expected.oneRecord ? keyOf(101) : null, expected.code]],
        );
      const whole = expected.exitCode === 0 || expected.oneRecord;
      assert.equal(counts.listed, whole ? contracts : contracts / 3, 'nothing is invented');
      // What the first run lists it loads; the next one goes on from there.
      assert.equal(counts.notStarted, 0);
      if (!whole) assert.equal(reportOf(mended).run.exitCode, 0);
      if (!whole) assert.equal(mended.rows.length, contracts);
    });
  }
});

describe('pages of the listing are answered oddly once', { concurrency: 6 }, () => {
  const recovering = allOddAnswers.filter((odd) => ofListing(odd).askedAgain || ofListing(odd).code === null);
  for (const group of inGroups(recovering, 30))
    test(`one each with ${group.map(({ answer }) => answer).join('; ')}`, async () => {
      const odd = group.map(({ answer }) => answer);
      const [night] = await thread.run({ what: 'listing', once: true, odd });
      assert(night);
      const { counts, run, failures } = reportOf(night);
      assert.deepEqual(failures, []);
      assert.equal(run.exitCode, 0);
      assert.equal(counts.enriched, contracts);
      assertWholeAndWithinLimits(night);
      for (const [index, one] of group.entries()) {
        const asked: number = night.requests.filter(({ url }) => url.endsWith(`after=p${index + 2}`)).length;
        // A connection that an earlier answer has ruined is made good for once, uncounted.
        const [least, most] = ofListing(one).askedAgain ? [2, 3] : [1, 2];
        assert.ok(asked >= least && asked <= most, `${one.answer}: asked ${asked} times`);
      }
    });
});

describe('the token server always answers with', { concurrency: 6 }, () => {
  for (const odd of representatives(allOddAnswers, ofToken)) {
    const expected = ofToken(odd);
    test(odd.answer, async () => {
      const [night] = await thread.run({ what: 'token', odd: [odd.answer] }, timeFor(expected));
      assert(night);
      const { code, exitCode } = endOf(night);
      assert.deepEqual({ code, exitCode }, { code: expected.code, exitCode: expected.exitCode });
      assert.equal(night.rows.length, expected.exitCode === 0 ? contracts : 0);
      const tokens = night.requests.filter(({ url }) => url === '/token').length;
      const most = expected.kind === 'busy' ? mostRenewals : expected.kind === 'odd' ? 3 : 1;
      assert(tokens <= most && (tokens > 1 || !expected.askedAgain), `${tokens} requests for a token`);
      const others = night.requests.length - tokens;
      assert.equal(others, expected.exitCode === 0 ? 3 : 0, 'nothing is sent without a token');
    });
  }
});

describe('renewals of the token are answered oddly once', { concurrency: 6 }, () => {
  const recovering = allOddAnswers.filter((odd) => ofToken(odd).askedAgain || ofToken(odd).code === null);
  for (const group of inGroups(recovering, 30))
    test(`one each with ${group.map(({ answer }) => answer).join('; ')}`, async () => {
      const [night] = await thread.run({ what: 'token', once: true, odd: group.map(({ answer }) => answer) });
      assert(night);
      const { counts, run, failures } = reportOf(night);
      assert.deepEqual(failures, []);
      assert.equal(run.exitCode, 0);
      assert.equal(counts.enriched, contracts);
      const tokens = night.requests.filter(({ url }) => url === '/token').length;
      assert(tokens <= 2 * group.length + 2, `${tokens} requests for a token`);
    });
});

test('the table of odd answers in the reference is current, but for its times', async () => {
  const page = await readFile(new URL('../../../docs/reference/responses.md', import.meta.url), 'utf8');
  const { part } = cutPage(page);
  const times = timesIn(part);
  assert.equal(part, oddAnswersPart(times), 'write it with npx node bench/odd-answers.ts');
  for (const { answer } of allOddAnswers) assert.match(times.byAnswer.get(answer) ?? '', /^\d+\.\d s$/, answer);
});

/** Milliseconds that a night has whose server never comes to itself. */
const shortNight = 1_000;
/** With pauses that grow to 100 ms and are drawn from nothing to that. */
const mostRenewals = 60;

const timeFor = ({ exitCode }: Expected): NightOptions => (exitCode === 6 ? { finishInMs: shortNight } : {});

/** How a night ended, with or without a report: `nightfill run` ends with 2 where nothing was begun. */
function endOf({ report, error }: OddNight): { code: string | null; exitCode: number } {
  if (report) return { code: report.failures[0]?.code ?? null, exitCode: report.run.exitCode };
  return { code: error?.code ?? error?.message ?? null, exitCode: 2 };
}

/**
 * One answer for each outcome, where each answer that ends a night costs a whole one; `npm run test:long` takes them all.
 * Every one is given to a contract above.
 */
function representatives<T>(all: readonly OddAnswer[], outcome: (odd: OddAnswer) => T): OddAnswer[] {
  if (isLong) return [...all];
  const seen = new Set<string>();
  return all.filter((odd) => {
    const kind = JSON.stringify([outcome(odd), odd.contract]).replaceAll(/(?<=HTTP_\d)\d\d/g, '');
    return !seen.has(kind) && seen.add(kind);
  });
}
