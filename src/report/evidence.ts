import type { Books } from './books.ts';
import type { ControlDefinition, RunFigures, Tolerance } from './figures.ts';
import type { Report } from './schema.ts';

/** What the controls of a night are evaluated on. */
export interface Evidence {
  figures: RunFigures;
  books: Books;
  previous: Report['previous'];
  /** The listing has come to its end. */
  planned: boolean;
  /** False for samples and dry runs, which are compared with nothing. */
  isNight: boolean;
}

/** A control of the job file, by its type. */
export type Definition<Type extends ControlDefinition['type']> = Extract<ControlDefinition, { type: Type }>;

/** The controls of that type that the job asks for. */
export const askedFor = <Type extends ControlDefinition['type']>(
  { controls }: Pick<RunFigures, 'controls'>,
  type: Type,
): Definition<Type>[] => controls.filter((control): control is Definition<Type> => control.type === type);

export const percent = (share: number): string => `${+(share * 100).toFixed(4)}%`;
export const toleranceText = ({ absolute, share }: Tolerance): string => (share > 0 ? percent(share) : absolute);
export const isExact = ({ absolute, share }: Tolerance): boolean => share === 0 && Number(absolute) === 0;
/** How far a count may be from the one expected. */
export const allowed = ({ absolute, share }: Tolerance, expected: number): number =>
  Math.max(Number(absolute), share * expected);
