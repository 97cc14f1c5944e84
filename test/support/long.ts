/** Set by `npm run test:long`: what proves more the more often it is repeated is repeated at length. */
export const isLong = process.env['NIGHTFILL_TEST_LONG'] === '1';

/** How often: in `npm test`, and at length. */
export const repeats = (short: number, long: number): number => (isLong ? long : short);
