import { z } from 'zod';
import type { Json } from '../../sources/json/exact-json.ts';
import { apiSchema } from './api-schema.ts';
import { cronProblem } from './cron-expression.ts';
import { defaults } from './defaults.ts';
import { isPostgresType } from '../../sinks/target/postgres-type.ts';
import {
  age,
  identifier,
  jsonPath,
  parameter,
  percentage,
  requestPath,
  secret,
  swing,
  template,
  text,
  textAs,
  tolerance,
  wholeNumber,
} from './values.ts';

const partName = (what: string) =>
  text(`a name for the ${what}: a letter, then letters, digits, - and _, at most 63`, /^[A-Za-z][A-Za-z0-9_-]{0,62}$/);

const apiName = () => text('the name of an API under apis').describe('One of the APIs above.');

const query = z
  .record(parameter(), z.union([template(), z.number(), z.boolean()]).transform(asTemplate))
  .default({})
  .describe(
    'Query parameters, URL-encoded. {businessDate}, {businessMonth} and, in lookups, {key} and paths may stand in braces; {{ and }} are literal ones.',
  );

/** The reader hands numbers and booleans of a query over as text; the wider union is for editors. */
function asTemplate(value: z.output<ReturnType<typeof template>> | number | boolean) {
  return typeof value === 'object' ? value : { source: String(value), parts: [String(value)] };
}

const paginate = z
  .discriminatedUnion('type', [
    z.strictObject({ type: z.literal('none') }),
    z.strictObject({
      type: z.literal('cursor'),
      next: jsonPath().describe('Where the next cursor stands in the answer, for example paging.next.after.'),
      param: parameter().describe('The query parameter that takes it.'),
    }),
    z.strictObject({
      type: z.literal('offset'),
      param: parameter().describe('The query parameter for the number of records to skip.'),
      limitParam: parameter()
        .exactOptional()
        .describe('The query parameter for the page size, when the API takes one.'),
      limit: wholeNumber(1, 100_000).describe('Records on a page.'),
    }),
    z.strictObject({
      type: z.literal('page'),
      param: parameter().describe('The query parameter for the page number.'),
      first: wholeNumber(0).prefault(defaults.firstPage).describe('The number of the first page. Default 1.'),
    }),
    z.strictObject({ type: z.literal('link-header') }),
    z.strictObject({
      type: z.literal('next-url'),
      next: jsonPath().describe("Where the next page's address stands in the answer."),
    }),
  ])
  .default({ type: 'none' })
  .describe('How to get the next page. Default none: the listing is one answer.');

const contracts = z.strictObject({
  api: apiName(),
  path: requestPath().describe('The path below the base URL, for example /contracts.'),
  query,
  records: jsonPath()
    .exactOptional()
    .describe('Where the array stands in the answer; leave it out when the answer is the array itself.'),
  key: jsonPath().describe(
    "Where a contract's key stands in its record, for example id: a text or number of at most 1,024 bytes.",
  ),
  paginate,
  total: z
    .union(
      [
        jsonPath().transform((path) => ({ path })),
        z.strictObject({ header: text("a header's name", /^[A-Za-z0-9-]+$/).describe('The header that carries it.') }),
      ],
      {
        error: 'a path such as meta.total, or { header: X-Total-Count }',
      },
    )
    .exactOptional()
    .describe("The source's own count of contracts: a path in the answer, or { header: X-Total-Count }."),
});

const batch = z.strictObject({
  size: wholeNumber(1, 10_000).describe('The most ids in one request.'),
  param: parameter().describe(
    "The query parameter that carries the ids. What query says for it is a contract's own id; by default {key}.",
  ),
  records: jsonPath().exactOptional().describe('Where the array stands in the answer; left out when it is the array.'),
  key: jsonPath().describe('Where the id stands in a record of the answer.'),
});

const lookup = z.strictObject({
  api: apiName(),
  path: requestPath().describe(
    'The path below the base URL. {key}, {businessDate}, {businessMonth}, {listed.…} and answers of other lookups such as {contract.customerId} may stand in braces; {{ and }} are literal ones.',
  ),
  query,
  onFailure: z
    .enum(['fail', 'last-known', 'null'])
    .default(defaults.onFailure)
    .meta({
      // The reader hands YAML's null over as text here; editors see it as it is.
      type: ['string', 'null'],
      enum: ['fail', 'last-known', 'null', null],
      description:
        'When it fails for good: fail the contract (default), take the last known value, or go on with null.',
    }),
  maxAge: age().exactOptional().describe('How old a last known value may be, for example 48h. Default: any age.'),
  batch: batch
    .exactOptional()
    .describe(
      'Ask for many contracts in one request: the ids of up to size of them, joined by commas, in one parameter.',
    ),
});

const column = z.strictObject({
  from: jsonPath()
    .exactOptional()
    .describe("Where the value stands: a lookup's name or listed, then the path, for example contract.customer.name."),
  type: textAs<string>(
    'a Postgres type such as text, date, jsonb, numeric(18,2) or timestamp with time zone, and nothing after it',
    {
      parse: (written) => (isPostgresType(written.trim()) ? written.trim() : undefined),
    },
  ).describe('A Postgres type, for example text, date, jsonb or "numeric(18,2)".'),
  default: z
    .unknown()
    .transform((value) => value as Json)
    .exactOptional()
    .describe('Taken when the path leads nowhere; a JSON null is not nowhere, and loads as NULL.'),
  listed: jsonPath()
    .exactOptional()
    .describe(
      'Where the same value stands in the record of the listing, for example annualValue. Tells the amount of contracts that were never fetched.',
    ),
});

const systemColumns = ['tableoid', 'ctid', 'xmin', 'xmax', 'cmin', 'cmax'];
const ownSchemas = /^(?:nightfill|information_schema|pg_.*)$/;

const load = z.strictObject({
  table: textAs<{ schema: string; name: string }>(
    'a table as name or schema.name, each in lower case: a letter or _, then letters, digits and _, at most 63',
    { pattern: /^(?:[a-z_][a-z0-9_]{0,62}\.)?[a-z_][a-z0-9_]{0,62}$/, parse: parseTable },
  ).describe('The target table, as name or schema.name. The schema is public unless named.'),
  key: z
    .array(identifier('column'))
    .min(1, { error: 'a list of at least one column' })
    .describe('The columns that identify a row; the upsert goes by them.'),
  columns: z
    .record(
      identifier('column').refine((name) => !systemColumns.includes(name), {
        error: 'another name: Postgres has a column of that name in every table',
      }),
      column,
    )
    .refine((columns) => Object.keys(columns).length > 0, { error: 'at least one column' })
    .describe('The columns of a row, in the order of a created table.'),
  create: z.boolean().default(defaults.create).describe('Create the table when it is missing. Default true.'),
  missing: z
    .enum(['keep', 'mark'])
    .default(defaults.missing)
    .describe(
      'Rows of contracts that are no longer listed: keep them as they are (default), or mark them in the column missing_since.',
    ),
  markAtMost: percentage()
    .prefault(defaults.markAtMost)
    .describe('Mark nothing when more than this share of the contracts known before is gone at once. Default 50%.'),
});

function parseTable(written: string): { schema: string; name: string } {
  const [name = '', schema = defaults.schema] = written.split('.').toReversed();
  if (ownSchemas.test(schema))
    throw new SyntaxError(`the schema ${schema} is not for target tables; choose another, such as public`);
  return { schema, name };
}

const judged = {
  tolerance: tolerance()
    .exactOptional()
    .describe('How far the figures may be apart: an amount such as 0.01, or a share of the expected such as 0.1%.'),
  severity: z
    .enum(['fail', 'warn'])
    .default('fail')
    .describe(
      'What a control that does not hold does: fail (default) ends the run with exit code 4, warn is only said.',
    ),
};

const control = z.union(
  [
    z
      .strictObject({
        sum: identifier('column').describe('The column whose amounts must add up to what the source gave.'),
        by: identifier('column')
          .exactOptional()
          .describe('Add up for each value of this column, for example a currency.'),
        change: swing()
          .exactOptional()
          .describe(
            'Compare the sum with that of the latest closed night instead: it fails when the sum has changed by this share or more.',
          ),
        ...judged,
      })
      .describe('Loaded amounts agree with the listed ones; with change, they agree with those of the night before.'),
    z
      .strictObject({
        completeness: percentage().describe('The least share of listed contracts that must be loaded.'),
        ...judged,
      })
      .describe('Loaded of listed; below it the run ends with exit code 4 rather than 3.'),
    z
      .strictObject({
        listed: z
          .union([z.literal('any'), z.strictObject({ change: swing().describe('The share that fails.') })], {
            error: 'any, or { change: 50% }',
          })
          .describe('any, or { change: SHARE }: it fails when the number has changed by this share or more.'),
        ...judged,
      })
      .describe(
        'Contracts listed, compared with the latest closed night; an empty listing fails. On by default with 50%.',
      ),
  ],
  { error: '{ sum: column, by: column }, { completeness: 100% } or { listed: { change: 50% } }' },
);

const transform = z.union(
  [
    text('the path of a module', /^[^\0]+$/).transform((module) => ({ module, threads: defaults.transformThreads })),
    z.strictObject({
      module: text('the path of a module', /^[^\0]+$/).describe('The module, relative to the job file.'),
      threads: wholeNumber(1, 64).prefault(defaults.transformThreads).describe('Worker threads. Default 2.'),
    }),
  ],
  { error: 'the path of a module, or { module: PATH, threads: 2 }' },
);

/** A job file, variables filled in: what may stand in it, what is meant where it is silent, and what editors say about it. */
export const jobFileSchema = z.strictObject({
  name: text('a name of letters, digits, ., - and _, at most 63', /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/).describe(
    'The name of the job. Its history, lock and last known values go by it.',
  ),
  timezone: textAs<string>('a time zone such as Europe/Berlin or UTC', { parse: parseTimeZone })
    .prefault(defaults.timezone)
    .describe(
      'The time zone of the business date, schedule, finishBy, and date and timestamp columns, for example Europe/Berlin. Default UTC.',
    ),
  schedule: textAs<string>('a cron expression such as "0 2 * * *"', { parse: parseSchedule })
    .exactOptional()
    .describe('When `nightfill schedule` starts the job: minute hour day month weekday.'),
  catchUp: z
    .enum(['last', 'none'])
    .default(defaults.catchUp)
    .describe('Of starts that `nightfill schedule` missed: make up for the last one (default), or for none.'),
  finishBy: text('a time as "HH:MM", from "00:00" to "23:59"', /^(?:[01]\d|2[0-3]):[0-5]\d$/)
    .exactOptional()
    .describe('When the data must be there, as "HH:MM"; the deadline of the run.'),
  database: z
    .union([z.literal('embedded'), secret()], {
      error: 'embedded, or the database URL as a secret: { env: NAME } or { file: PATH }',
    })
    .exactOptional()
    .describe(
      'The database of this job: embedded, or a URL such as postgres://etl@host:5432/night as a secret, { env: NAME } or { file: PATH }. Then nothing else is looked at. Default: what --database-url or the environment names.',
    ),
  apis: z
    .record(partName('API'), apiSchema)
    .refine((apis) => Object.keys(apis).length > 0, { error: 'at least one API' })
    .describe('The APIs that are called, each with its limits.'),
  contracts: contracts.describe("The listing: what tonight's work is."),
  lookups: z
    .record(
      partName('lookup').refine((name) => !['key', 'businessDate', 'businessMonth', 'listed'].includes(name), {
        error: 'another name: key, businessDate, businessMonth and listed have a meaning in templates',
      }),
      lookup,
    )
    .default({})
    .describe("Requests that enrich a contract, run together; one that needs another's answer waits for it."),
  load: load.describe('Where and how rows are written.'),
  controls: z
    .array(control)
    .default([])
    .describe(
      'Checks that two independently obtained figures agree, beside those that every run has (count and keys).',
    ),
  chunk: z
    .strictObject({
      size: wholeNumber(1, 10_000)
        .prefault(defaults.chunkSize)
        .describe('Contracts per transaction, retry and rerun. Default 500.'),
    })
    .prefault({})
    .describe('The unit of transaction, retry and rerun.'),
  commit: z
    .enum(['chunk', 'run'])
    .default(defaults.commit)
    .describe('chunk (default): each chunk stands as soon as it is done. run: all or nothing.'),
  failures: z
    .strictObject({
      stopAbove: percentage()
        .prefault(defaults.stopAbove)
        .describe('Stop early when more contracts than this share failed. Default 100%: never.'),
    })
    .prefault({})
    .describe('When to give up.'),
  transform: transform
    .exactOptional()
    .describe('A module whose default export makes the row from the parts, when mapping is not enough.'),
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
