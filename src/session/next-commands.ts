import { relative } from 'node:path';
import { businessDateIn } from '../jobs/business-date.ts';
import type { Job } from '../jobs/job.ts';

/** The commands that the summary advises, ready to type. */
export interface NextCommands {
  /** Fetches again what failed or never started. */
  rerun: string;
  /** Continues a stopped run. */
  run: string;
  /** An option that either needs and that is not printed, because a URL may hold a password. */
  besides?: string;
}

export function nextCommands(
  { file, timezone, database }: Pick<Job, 'file' | 'timezone' | 'database'>,
  o: {
    businessDate: string;
    limit?: number | undefined;
    /** The run to rerun: its id for a sample, because `latest` excludes samples. Default: `latest`. */
    of?: string;
    databaseUrl?: string | undefined;
    /** The directory in which it is typed. */
    directory: string;
    environment: NodeJS.ProcessEnv;
  },
): NextCommands {
  const program = programName(o.environment);
  const near = relative(o.directory, file.path);
  const jobFile = shellWord(near.startsWith('..') ? file.path : near);
  const run = [
    program,
    'run',
    jobFile,
    ...(o.businessDate === businessDateIn(timezone, new Date()) ? [] : ['--date', o.businessDate]),
    ...(o.limit === undefined ? [] : ['--limit', o.limit]),
  ];
  // If a job pins its database, only its file tells where its runs are.
  const rerun = `${program} rerun ${o.of ?? 'latest'}${database === undefined ? '' : ` --job ${jobFile}`}`;
  const besides = o.databaseUrl === undefined ? {} : { besides: 'give it the same --database-url' };
  return { rerun, run: run.join(' '), ...besides };
}

/** How the user called the program: npx and npm scripts find it without PATH. */
export const programName = (environment: NodeJS.ProcessEnv): string =>
  environment['npm_command'] ? 'npx nightfill' : 'nightfill';

/** Quoted where a shell would split or expand it. */
export const shellWord = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
