import { z } from 'zod';
import { defaults } from './defaults.ts';
import { age, jsonPath, parameter, requestPath, template, text, wholeNumber } from './values.ts';

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

/** The listing: which contracts there are. */
export const contracts = z.strictObject({
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

/** What is asked for each contract. */
export const lookup = z.strictObject({
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
