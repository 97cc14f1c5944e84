import type { Resolve } from '../../sources/json/template.ts';

/** What the braces of the listing's templates may name. */
export const dateScope =
  (businessDate: string): Resolve =>
  ([root]) =>
    root === 'businessDate' ? businessDate : root === 'businessMonth' ? businessDate.slice(0, 7) : undefined;
