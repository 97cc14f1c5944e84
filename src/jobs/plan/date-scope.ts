import type { Resolve } from '../../sources/json/template.ts';

/** Resolves the names that the listing's templates may use in braces. */
export const dateScope =
  (businessDate: string): Resolve =>
  ([root]) =>
    root === 'businessDate' ? businessDate : root === 'businessMonth' ? businessDate.slice(0, 7) : undefined;
