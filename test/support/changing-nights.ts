import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Report } from '../../src/report/schema.ts';
import type { Night } from './night.ts';
import { listAndLookUp, scriptedNight, type scriptedJob } from './scripted-job.ts';

type Listed = Record<string, unknown>;
type Ended = Awaited<ReturnType<Night['nightfill']>>;

export interface Source {
  listed: Listed[];
  /** What a detail answers; what it does not have is 404. */
  details: Record<string, object | (() => Promise<object>)>;
}

export interface Nights {
  night: Night;
  source: Source;
  /** Runs a command of this process to its end. */
  call: (command: string, ...options: string[]) => Promise<Ended>;
  run: (date: string, expected?: number, ...options: string[]) => Promise<Report>;
  rerun: (expected?: number, ...options: string[]) => Promise<Report>;
}

/** Nights against a source whose listing and details a test changes from night to night. */
export async function nights(
  t: TestContext,
  source: Source,
  job: Parameters<typeof scriptedJob>[1] = {},
): Promise<Nights> {
  const { night } = await scriptedNight(t, {
    script: async (request) => {
      const key = /^\/contracts\/([^?]+)/.exec(request.url)?.[1] ?? '';
      const detail = source.details[key];
      const answer = typeof detail === 'function' ? await detail() : detail;
      return listAndLookUp(source.listed, () => answer)(request);
    },
    job: { chunk: { size: 2 }, ...job },
  });
  night.environment['NIGHTFILL_LOG_LEVEL'] = 'error';
  const [file, path] = ['job.yaml', 'report.json'];
  const call: Nights['call'] = async (command, ...options) =>
    night.nightfill(command, ...(command === 'run' ? [file] : []), '--report', path, ...options);
  const ending = async (ended: Ended, expected: number): Promise<Report> => {
    assert.equal(ended.exitCode, expected, ended.stdout + ended.stderr);
    return night.report('report.json');
  };
  return {
    night,
    source,
    call,
    run: async (date, expected = 0, ...options) => ending(await call('run', '--date', date, ...options), expected),
    rerun: async (expected = 0, ...options) => ending(await call('rerun', ...options), expected),
  };
}

export const keys = (count: number): string[] => Array.from({ length: count }, (_, index) => `c${index + 1}`);
export const plain = (count: number): Source => ({
  listed: keys(count).map((id) => ({ id, amount: '10.00', currency: 'EUR' })),
  details: Object.fromEntries(keys(count).map((id) => [id, { id, amount: '10.00', currency: 'EUR' }])),
});

export const failed = ({ controls }: Report): string[] =>
  controls
    .filter(({ result }) => result === 'fail')
    .map(({ type, expected, actual }) => `${type} ${expected} ${actual}`);

export const stored = async (night: Night): Promise<unknown[]> =>
  (await night.query<{ row: string }>(`SELECT id || ' ' || amount AS row FROM contracts ORDER BY id`)).map(
    ({ row }) => row,
  );
