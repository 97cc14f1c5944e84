import { oddAnswers } from './all.ts';
import { type Expected, ofListing, ofToken } from './expected.ts';
import type { OddAnswer } from './odd-answer.ts';

const begin = '<!-- Odd answers: written by npx node bench/odd-answers.ts -->';
const end = '<!-- The end of odd answers -->';

/** How long a night took, as it stands in the page, by answer; `healthy`: one without odd answers. */
export interface Times {
  healthy: string;
  byAnswer: ReadonlyMap<string, string>;
}

/** The part of docs/reference/responses.md about odd answers, as `expected.ts` and the tables have it. */
export function oddAnswersPart({ healthy, byAnswer }: Times): string {
  const tables = Object.entries(oddAnswers).flatMap(([heading, answers]) => [
    `### ${heading}`,
    '',
    '| answer | a contract | attempts | the listing | the token server | the night took |',
    '| --- | --- | --- | --- | --- | --- |',
    ...answers.map((odd) => row(odd, byAnswer.get(odd.answer) ?? '')),
    '',
  ]);
  return [begin, '', `A night without any took ${healthy}.`, '', ...tables, end].join('\n');
}

function row(odd: OddAnswer, took: string): string {
  const { contract } = odd;
  const cells = [
    odd.answer,
    contract.code === 'enriched' ? 'loaded' : `\`${contract.code}\``,
    String(contract.attempts),
    listingCell(odd),
    consequence(ofToken(odd)),
    took,
  ];
  return `| ${cells.join(' | ')} |`;
}

function listingCell(odd: OddAnswer): string {
  const expected = ofListing(odd);
  return expected.oneRecord ? `one record fails: \`${expected.code}\`` : consequence(expected);
}

const consequence = ({ code, exitCode, askedAgain }: Expected): string =>
  exitCode === 0
    ? 'taken'
    : `${askedAgain ? 'asked again; ' : ''}${exitCode === 6 ? 'waited for, at the deadline exit 6' : `exit ${exitCode}, \`${code}\``}`;

/** The part that stands in a page, with what comes before it and after it. Throws when there is none. */
export function cutPage(page: string): { before: string; part: string; after: string } {
  const from = page.indexOf(begin);
  const to = page.indexOf(end);
  if (from < 0 || to < from) throw new Error(`the page lacks the lines "${begin}" and "${end}"`);
  return { before: page.slice(0, from), part: page.slice(from, to + end.length), after: page.slice(to + end.length) };
}

/** The times that stand in a part. */
export function timesIn(part: string): Times {
  const cells = part.split('\n').flatMap((line) => {
    const [, answer, took] = /^\| (.+?) \| (?:loaded|`[A-Z]).* \| ([^|]*) \|$/.exec(line) ?? [];
    return answer === undefined || took === undefined ? [] : [[answer, took] as const];
  });
  return { healthy: /A night without any took (.*)\.$/m.exec(part)?.[1] ?? '', byAnswer: new Map(cells) };
}
