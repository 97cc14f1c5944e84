import { z } from 'zod';
import { identifier, percentage, swing, tolerance } from './values.ts';

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

/** One of the controls, which the report evaluates. */
export const control = z.union(
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
