import { z } from 'zod';
import { control } from './control-schema.ts';
import { load } from './load-schema.ts';
import { contracts, lookup } from './request-schema.ts';
import { apiSchema } from './api-schema.ts';
import { cronProblem } from './cron-expression.ts';
import { defaults } from './defaults.ts';
import { percentage, secret, text, textAs, wholeNumber } from './values.ts';

const partName = (what: string) =>
  text(`a name for the ${what}: a letter, then letters, digits, - and _, at most 63`, /^[A-Za-z][A-Za-z0-9_-]{0,62}$/);

const transform = z.union(
  [
    text('the path of a module', /^[^\0]+$/).transform((module) => ({ module, threads: defaults.transformThreads })),
    z.strictObject({
      module: text('the path of a module', /^[^\0]+$/).describe('The module, .js or .ts, relative to the job file.'),
      threads: wholeNumber(1, 64).prefault(defaults.transformThreads).describe('How many worker threads run it.'),
    }),
  ],
  { error: 'the path of a module, or { module: PATH, threads: 2 }' },
);

/** A job file with variables filled in: allowed values, defaults, and the descriptions that editors show. */
export const jobFileSchema = z.strictObject({
  name: text('a name of letters, digits, ., - and _, at most 63', /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/).describe(
    'The name of the job: a letter or digit, then letters, digits, ., - and _, at most 63. Its history, lock and last known values are kept by this name.',
  ),
  timezone: textAs<string>('a time zone such as Europe/Berlin or UTC', { parse: parseTimeZone })
    .prefault(defaults.timezone)
    .describe(
      'The time zone of the business date, of schedule and finishBy, and of date and timestamp columns, for example Europe/Berlin.',
    ),
  schedule: textAs<string>('a cron expression such as "0 2 * * *"', { parse: parseSchedule })
    .exactOptional()
    .describe('When `nightfill schedule` starts the job, as a cron expression: minute hour day month weekday.'),
  catchUp: z
    .enum(['last', 'none'])
    .default(defaults.catchUp)
    .describe('Which of the starts that `nightfill schedule` missed are made up for: the last one, or none.'),
  finishBy: text('a time as "HH:MM", from "00:00" to "23:59"', /^(?:[01]\d|2[0-3]):[0-5]\d$/)
    .exactOptional()
    .describe('The deadline of the run: the time at which the data must be there, as "HH:MM" in timezone.'),
  database: z
    .union([z.literal('embedded'), secret()], {
      error: 'embedded, or the database URL as a secret: { env: NAME } or { file: PATH }',
    })
    .exactOptional()
    .describe(
      'The database of this job: embedded, or a secret, { env: NAME } or { file: PATH }, that holds a URL such as postgres://etl@host:5432/night. No other setting is then looked at. Default: what --database-url or the environment names.',
    ),
  apis: z
    .record(partName('API'), apiSchema)
    .refine((apis) => Object.keys(apis).length > 0, { error: 'at least one API' })
    .describe('The APIs to call, by a name of your choice.'),
  contracts: contracts.describe("The listing: which contracts are tonight's work."),
  lookups: z
    .record(
      partName('lookup').refine((name) => !['key', 'businessDate', 'businessMonth', 'listed'].includes(name), {
        error: 'another name: key, businessDate, businessMonth and listed have a meaning in templates',
      }),
      lookup,
    )
    .default({})
    .describe(
      "Requests that enrich each contract, by a name of your choice. They run together; one that needs another's answer waits for it.",
    ),
  load: load.describe('The table that the rows are written to, and how.'),
  controls: z
    .array(control)
    .default([])
    .describe('Checks that two independently obtained figures agree, in addition to those that every run has.'),
  chunk: z
    .strictObject({
      size: wholeNumber(1, 10_000).prefault(defaults.chunkSize).describe('Contracts in one chunk.'),
    })
    .prefault({})
    .describe('The unit of transaction, retry and rerun.'),
  commit: z
    .enum(['chunk', 'run'])
    .default(defaults.commit)
    .describe(
      'When loaded rows become visible. chunk: as each chunk is done. run: all at once when the whole plan has ended, or not at all.',
    ),
  failures: z
    .strictObject({
      stopAbove: percentage()
        .prefault(defaults.stopAbove)
        .describe(
          'Stop the run early when more than this share of the contracts failed, judged from 100 ended contracts on; 100% means never.',
        ),
    })
    .prefault({})
    .describe('When a run gives up.'),
  transform: transform
    .exactOptional()
    .describe(
      'A module whose default export makes the row, where mapping columns is not enough: its path, or a mapping.',
    ),
});

export type JobFile = z.output<typeof jobFileSchema>;

function parseTimeZone(written: string): string | undefined {
  if (!/^[A-Za-z]/.test(written)) return undefined;
  try {
    new Intl.DateTimeFormat('en', { timeZone: written });
    return written;
  } catch {
    return undefined;
  }
}

function parseSchedule(written: string): string {
  const problem = cronProblem(written);
  if (problem !== undefined) throw new SyntaxError(problem);
  return written.trim();
}
