import { z } from 'zod';
import type { Json } from '../../sources/json/exact-json.ts';
import { isPostgresType } from '../../sinks/target/postgres-type.ts';
import { defaults } from './defaults.ts';
import { identifier, jsonPath, percentage, textAs } from './values.ts';

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

/** The target table and its columns. */
export const load = z.strictObject({
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
