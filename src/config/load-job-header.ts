import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import type { PinnedDatabase } from '../jobs/job.ts';
import { expectation, explain } from './explain.ts';
import { JobFileError } from './yaml/job-file-error.ts';
import { JobFileSource } from './yaml/job-file-source.ts';
import { jobFileSchema } from './schema/job-schema.ts';
import { outline } from './yaml/outline.ts';
import { readJobFile } from './yaml/read-job-file.ts';
import { resolveDatabase } from './resolve-secrets.ts';

const headerSchema = z.object({ name: jobFileSchema.shape.name, database: jobFileSchema.shape.database });

/**
 * The name of the job that the file at `path` describes, and the database it pins: enough to find its history. The rest is not read, so its credentials need not be set. Throws JobFileError.
 */
export async function loadJobHeader(
  path: string,
  { directory = '', environment }: { directory?: string; environment: NodeJS.ProcessEnv },
): Promise<{ name: string; database?: PinnedDatabase }> {
  const source = new JobFileSource(path, await readJobFile(path, directory), environment);
  const header = headerSchema.safeParse(source.value, { error: expectation });
  for (const issue of header.error?.issues ?? []) explain(issue, source);
  const folder = dirname(resolve(directory, path));
  const database = await resolveDatabase(outline(source.value), source, { environment, folder });
  const problems = source.problems.filter(({ path: at }) => at === '' || /^(?:name|database)(?:\.|$)/.test(at));
  if (!header.success || problems.length > 0) throw new JobFileError(path, problems);
  return { name: header.data.name, ...(database !== undefined && { database }) };
}
