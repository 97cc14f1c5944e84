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

const apiName = () => text('the name of an API under apis').describe('The name of an API under apis.');

const query = z
  .record(parameter(), z.union([template(), z.number(), z.boolean()]).transform(asTemplate))
  .default({})
  .meta({
    kind: 'mapping',
    description:
      'Query parameters by name, URL-encoded. {businessDate} and {businessMonth} may stand in braces, in lookups also {key} and paths; {{ and }} are literal braces.',
  });

/** The reader hands numbers and booleans of a query over as text; the wider union is for editors. */
function asTemplate(value: z.output<ReturnType<typeof template>> | number | boolean) {
  return typeof value === 'object' ? value : { source: String(value), parts: [String(value)] };
}

const paginate = z
  .discriminatedUnion('type', [
    z.strictObject({ type: z.literal('none').describe('The listing is one answer. This is the default.') }),
    z.strictObject({
      type: z
        .literal('cursor')
        .describe('Each page holds the cursor of the next. Ends when it is absent, null or empty.'),
      next: jsonPath().describe('Where the next cursor stands in the answer, for example paging.next.after.'),
      param: parameter().describe('The query parameter that carries the cursor.'),
    }),
    z.strictObject({
      type: z
        .literal('offset')
        .describe(
          'Counts records. Ends with an empty page or when total is reached; without a total also with a page shorter than limit, or a page past the end.',
        ),
      param: parameter().describe('The query parameter for the number of records to skip.'),
      limitParam: parameter()
        .exactOptional()
        .describe('The query parameter for the page size, when the API takes one.'),
      limit: wholeNumber(1, 100_000).describe('Records on a page.'),
    }),
    z.strictObject({
      type: z
        .literal('page')
        .describe('Counts pages. Ends with an empty page, when total is reached, or with a page past the end.'),
      param: parameter().describe('The query parameter for the page number.'),
      first: wholeNumber(0).prefault(defaults.firstPage).describe('The number of the first page.'),
    }),
    z.strictObject({
      type: z.literal('link-header').describe('Follows `Link: …; rel="next"`. Ends without one.'),
    }),
    z.strictObject({
      type: z
        .literal('next-url')
        .describe('Each page holds the address of the next. Ends when it is absent, null or empty.'),
      next: jsonPath().describe("Where the next page's address stands in the answer."),
    }),
  ])
  .default({ type: 'none' })
  .describe('How to get the next page.');

const contracts = z.strictObject({
  api: apiName(),
  path: requestPath().describe('The path below the base URL, for example /contracts.'),
  query,
  records: jsonPath()
    .exactOptional()
    .describe('Where the array of contracts stands in the answer. Leave it out when the answer is the array itself.'),
  key: jsonPath().describe(
    'Where the contract key stands in a record, for example id. A key is a text or a number of at most 1,024 bytes.',
  ),
  paginate,
  total: z
    .union(
      [
        jsonPath().transform((path) => ({ path })),
        z.strictObject({
          header: text("a header's name", /^[A-Za-z0-9-]+$/).describe('The response header that carries the count.'),
        }),
      ],
      {
        error: 'a path such as meta.total, or { header: X-Total-Count }',
      },
    )
    .exactOptional()
    .describe("The source's own count of contracts: a path in the answer, or { header: X-Total-Count }."),
});

const batch = z.strictObject({
  size: wholeNumber(1, 10_000).describe(
    'At most this many ids in one request. A batch that is not full waits 50 ms for more.',
  ),
  param: parameter().describe(
    'The query parameter that carries the ids. Its value under query says what the id of one contract is. Default: {key}.',
  ),
  records: jsonPath()
    .exactOptional()
    .describe('Where the array stands in the answer. Leave it out when the answer is the array itself.'),
  key: jsonPath().describe('Where the id stands in a record of the answer, to match it with its contract.'),
});

const lookup = z.strictObject({
  api: apiName(),
  path: requestPath().describe(
    'The path below the base URL. In braces, URL-encoded: {key}, {businessDate}, {businessMonth}, {listed.…} and answers of other lookups such as {contract.customerId}; {{ and }} are literal braces.',
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
        'What happens to the contract when the lookup fails for good. fail: it fails. last-known: the last known value is taken. null: the columns of this lookup are NULL.',
    }),
  maxAge: age()
    .exactOptional()
    .describe('How old a last known value may be, for example 48h; needs onFailure: last-known. Default: any age.'),
  batch: batch
    .exactOptional()
    .describe('Asks for many contracts in one request: their ids, joined by commas, in one query parameter.'),
});

const column = z.strictObject({
  from: jsonPath()
    .exactOptional()
    .describe(
      "Where the value stands: a lookup's name, or listed for the contract's record in the listing, then the path, for example contract.customer.name. Needed unless there is a transform.",
    ),
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
    .describe(
      'The value when the path leads nowhere. A JSON null is a value and loads as NULL. Default: the contract fails.',
    ),
  listed: jsonPath()
    .exactOptional()
    .describe(
      'Where the same value stands in the record of the listing, for example annualValue. It tells the amount of contracts that were never fetched.',
    ),
});

const systemColumns = ['tableoid', 'ctid', 'xmin', 'xmax', 'cmin', 'cmax'];
const ownSchemas = /^(?:nightfill|information_schema|pg_.*)$/;

const load = z.strictObject({
  table: textAs<{ schema: string; name: string }>(
    'a table as name or schema.name, each in lower case: a letter or _, then letters, digits and _, at most 63',
    { pattern: /^(?:[a-z_][a-z0-9_]{0,62}\.)?[a-z_][a-z0-9_]{0,62}$/, parse: parseTable },
  ).describe('The target table, as name or schema.name; without a schema it is in public.'),
  key: z
    .array(identifier('column'))
    .min(1, { error: 'a list of at least one column' })
    .describe('The load key: the columns that identify a row. The upsert matches on them.'),
  columns: z
    .record(
      identifier('column').refine((name) => !systemColumns.includes(name), {
        error: 'another name: Postgres has a column of that name in every table',
      }),
      column,
    )
    .refine((columns) => Object.keys(columns).length > 0, { error: 'at least one column' })
    .describe('The columns to load, by name, in the order a created table has them.'),
  create: z.boolean().default(defaults.create).describe('Whether a missing table, and its schema, is created.'),
  missing: z
    .enum(['keep', 'mark'])
    .default(defaults.missing)
    .describe(
      'What happens to rows of contracts that are no longer listed. keep: nothing. mark: the business date is written into the column missing_since.',
    ),
  markAtMost: percentage()
    .prefault(defaults.markAtMost)
    .describe(
      'With missing: mark, mark nothing when more than this share of the contracts known before is gone at once.',
    ),
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
    .describe(
      'How far the two figures may differ: an amount such as 0.01, or a share of the expected figure such as 0.1%. Default: 0.',
    ),
  severity: z
    .enum(['fail', 'warn'])
    .default('fail')
    .describe(
      'What happens when the control does not hold. fail: the run ends with exit code 4. warn: it is only reported.',
    ),
};

const control = z.union(
  [
    z
      .strictObject({
        sum: identifier('column').describe('The column to add up: an integer type or numeric.'),
        by: identifier('column')
          .exactOptional()
          .describe(
            'Add up for each value of this column, for example the currency. Must be the same in all controls of one summed column.',
          ),
        change: swing()
          .exactOptional()
          .describe(
            'Compare the sum with the latest closed night instead; the control fails when it changed by this share or more.',
          ),
        ...judged,
      })
      .describe('The amounts loaded add up to what the source sent; with change, to about what the night before had.'),
    z
      .strictObject({
        completeness: percentage().describe('The least share of the listed contracts that must be loaded.'),
        ...judged,
      })
      .describe('Enough of the listed contracts are loaded; below it the run ends with exit code 4 rather than 3.'),
    z
      .strictObject({
        listed: z
          .union(
            [
              z.literal('any'),
              z.strictObject({
                change: swing().describe('The control fails when the number changed by this share or more.'),
              }),
            ],
            {
              error: 'any, or { change: 50% }',
            },
          )
          .describe('any: never fails. { change: SHARE }: fails when the number changed by this share or more.'),
        ...judged,
      })
      .describe(
        'About as many contracts are listed as in the latest closed night; an empty listing fails. Without this entry { change: 50% } holds.',
      ),
  ],
  { error: '{ sum: column, by: column }, { completeness: 100% } or { listed: { change: 50% } }' },
);

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
