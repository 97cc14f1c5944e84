import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Simulator } from '../../src/simulator/simulator.ts';
import { rowsOf, untilRows } from './database.ts';
import { type Ended, type Night, type Running } from './night.ts';
import { simulatedNight } from './simulated-job.ts';

export const contracts = 100;

/** Slow enough to be met at work: at least two seconds, in chunks of ten. */
const slow = {
  simulator: { contracts, latency: 40 },
  job: { api: { limits: { concurrency: 2 } }, chunk: { size: 10 } },
};

/** A night of 100 contracts that something may happen to. */
export async function slowNight(
  t: TestContext,
  { databaseUrl, job = {}, schema = true }: { databaseUrl?: string | null; job?: object; schema?: boolean } = {},
): Promise<{ simulator: Simulator; night: Night }> {
  return simulatedNight(t, {
    ...slow,
    schema,
    job: { ...slow.job, ...job },
    ...(databaseUrl !== undefined && { databaseUrl }),
  });
}

/** Waits until the run has committed some chunks; gives the keys that stand in the target then. */
export async function someChunks(url: string, running: Running): Promise<void> {
  const committed = `SELECT FROM nightfill.chunk WHERE status <> 'not-started'`;
  await untilRows(url, committed, { rows: 2, over: running.ended });
}

export const loadedKeys = async (url: string): Promise<string[]> =>
  (await rowsOf<{ key: string }>(url, 'SELECT contract_id AS key FROM enriched ORDER BY 1')).map(({ key }) => key);

let undisturbed: Promise<object[]> | undefined;

/** The rows of a night that nothing happened to. */
export async function undisturbedRows(t: TestContext): Promise<object[]> {
  undisturbed ??= (async () => {
    const { night } = await simulatedNight(t, { simulator: { contracts } });
    const ended = await night.nightfill('run', 'job.yaml');
    assert.equal(ended.exitCode, 0, ended.stderr);
    return targetRows(night.databaseUrl);
  })();
  return undisturbed;
}

export const targetRows = async (url: string): Promise<object[]> =>
  rowsOf(url, 'SELECT * FROM enriched ORDER BY contract_id');

/** One sentence on standard error, beside the log's lines. */
export function assertSentence({ stderr }: Ended, pattern: RegExp): void {
  const sentences = stderr.split('\n').filter((line) => line.startsWith('nightfill: '));
  assert.equal(sentences.length, 1, stderr);
  assert.match(sentences[0]!, pattern);
}
