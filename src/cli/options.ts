import { Help, Option } from 'commander';
import { finishByOption } from './option-values.ts';

/** Is told the exit code of the command that was called. */
export type Finish = (exitCode: number) => void;

/** An option that NIGHTFILL_… can set as well. */
export function option(flags: string, description: string): Option {
  const made = new Option(flags, description);
  return made.env(`NIGHTFILL_${made.long!.replace(/^--/, '').replaceAll('-', '_').toUpperCase()}`);
}

// Not by `option`: what a variable says must be told from what was typed, because a job file that pins its database
// overrides the one and contradicts the other.
export const databaseUrl = (): Option =>
  new Option(
    '--database-url <url>',
    'the PostgreSQL to use when the job file pins none (default: NIGHTFILL_DATABASE_URL, DATABASE_URL, PG* variables, else the embedded one)',
  );
export const jobOption = (description: string): Option =>
  option('--job <job>', `${description}; its name, or its file, which may pin the database`);
export const noMigrate = (): Option =>
  option('--no-migrate', 'fail when the nightfill schema is not current instead of upgrading it');
export const finishBy = (): Option =>
  option(
    '--finish-by <time>',
    "the deadline, 06:00 or 2026-11-22T06:00:00+01:00, instead of the job's finishBy",
  ).argParser(finishByOption);

/** Help behind the options: what the command does in more words, and examples of how it is called. */
export const about = (text: string, ...examples: string[]): string =>
  `\n${new Help().boxWrap(text, 80)}\n\nExamples:\n${examples.map((line) => `  $ ${line}`).join('\n')}`;
