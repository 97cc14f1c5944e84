/*
 * How long a night of 300 contracts takes when the lookup of one of them is always answered oddly, against a night
 * without: each answer gets two nights, of which
 * the swifter counts, and a few nights run beside one another. Writes the table of odd answers into
 * docs/reference/responses.md; with --dry-run it only prints what took more than a tenth longer.
 * Run: npx node bench/odd-answers.ts [--dry-run]
 */
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { startCluster } from '../test/support/cluster.ts';
import { allOddAnswers } from '../test/support/odd-answers/all.ts';
import { OddNights } from '../test/support/odd-answers/odd-night.ts';
import { cutPage, oddAnswersPart } from '../test/support/odd-answers/page.ts';
import { Database } from '../src/sinks/postgres/postgres.ts';
import { migrate } from '../src/ledger/migrations.ts';

const file = fileURLToPath(new URL('../docs/reference/responses.md', import.meta.url));
const atOnce = 3;

await using cluster = await startCluster();
{
  await using database = await Database.open({
    config: { connectionString: cluster.url },
    description: 'the database of odd nights',
  });
  await migrate(database);
}
await using nights = await OddNights.open(cluster.url);
const inSeconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;

/** Milliseconds of each night, in the order of the answers; undefined: a night without an odd one. */
async function measure(answers: readonly (string | undefined)[]): Promise<number[]> {
  const took: number[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < answers.length) {
      const index = next++;
      const answer = answers[index];
      const [night] = await nights.run({ what: 'contracts', odd: answer === undefined ? [] : [[answer, 150]] });
      took[index] = night!.took;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return took;
}

/** The swifter of two nights each. */
async function swifter(answers: readonly (string | undefined)[]): Promise<number[]> {
  const first = await measure(answers);
  const second = await measure(answers);
  return first.map((ms, index) => Math.min(ms, second[index]!));
}

// The first nights are slow, because nothing is compiled yet.
await measure(Array.from({ length: 2 * atOnce }, () => undefined));
const names = allOddAnswers.map(({ answer }) => answer);
const took = await swifter(names);
const healthy = (await swifter(Array.from({ length: 5 * atOnce }, () => undefined))).toSorted((a, b) => a - b);
const median = healthy[Math.floor(healthy.length / 2)]!;
process.stdout.write(`a night without any: ${inSeconds(median)}, at most ${inSeconds(healthy.at(-1)!)}\n`);
for (const [index, ms] of took.entries())
  if (ms > 1.1 * median) process.stdout.write(`${inSeconds(ms)}: ${names[index]}\n`);

if (!process.argv.includes('--dry-run')) {
  const { before, after } = cutPage(await readFile(file, 'utf8'));
  const byAnswer = new Map(names.map((name, index) => [name, inSeconds(took[index]!)]));
  await writeFile(file, before + oddAnswersPart({ healthy: inSeconds(median), byAnswer }) + after);
}
