import { createHash } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import canonicalize from 'canonicalize';
import type { z } from 'zod';
import type { Job } from '../jobs/job.ts';
import { buildJob } from './build-job.ts';
import { checkReferences } from './check-references.ts';
import { expectation, explain } from './explain.ts';
import { deepFreeze } from './deep-freeze.ts';
import { formatProblem, JobFileError } from './yaml/job-file-error.ts';
import { JobFileSource } from './yaml/job-file-source.ts';
import { valueAt } from './yaml/path.ts';
import { jobFileSchema, type JobFile } from './schema/job-schema.ts';
import { refuseNotAvailable } from './schema/not-available.ts';
import { outline } from './yaml/outline.ts';
import { readJobFile } from './yaml/read-job-file.ts';
import { resolveProxies } from './proxies.ts';
import { resolveDatabase, resolveSecrets } from './resolve-secrets.ts';
import { resolveTls } from './resolve-tls.ts';
import { warnings } from './warnings.ts';

export interface LoadJobOptions {
  /** Where `${NAME}` and `{ env: NAME }` are looked up. Default: `process.env`. */
  environment?: NodeJS.ProcessEnv;
  /** Where a relative path starts. Default: the process's working directory. */
  directory?: string;
  /** Called with a sentence for what is valid and probably a mistake. Default: ignored. */
  onWarning?: (sentence: string) => void;
}

/**
 * The job that the YAML file at `path` describes, deeply frozen; secrets are read, durations are milliseconds.
 * Throws JobFileError with everything that is wrong with it.
 */
export async function loadJob(
  path: string,
  { environment = process.env, directory = '', onWarning }: LoadJobOptions = {},
): Promise<Job> {
  const source = new JobFileSource(path, await readJobFile(path, directory), environment);
  refuseNotAvailable(source);
  const file = validate(source);
  const sketch = outline(source.value);
  checkReferences(sketch, source);
  const folder = dirname(resolve(directory, path));
  const secrets = await resolveSecrets(sketch, source, { environment, folder });
  const tls = await resolveTls(sketch, source, { environment, folder });
  const proxies = resolveProxies(sketch, source, environment);
  const database = await resolveDatabase(sketch, source, { environment, folder });
  if (!file || source.problems.length > 0) throw new JobFileError(path, source.problems);
  for (const warning of warnings(sketch, source)) onWarning?.(formatProblem(path, warning));
  return deepFreeze(
    buildJob(file, {
      path: resolve(directory, path),
      folder,
      sha256: fingerprint(file),
      secrets,
      tls,
      proxies,
      database,
    }),
  );
}

/** The validated file; undefined when it is not valid, with every issue reported. */
function validate(source: JobFileSource): JobFile | undefined {
  const first = jobFileSchema.safeParse(source.value, { error: expectation });
  if (first.success) return first.data;
  const isTyped = first.error.issues.map((issue) => typeVariable(issue, source));
  const result = isTyped.includes(true) ? jobFileSchema.safeParse(source.value, { error: expectation }) : first;
  for (const issue of result.error?.issues ?? []) explain(issue, source);
  return result.data;
}

/** Variables give text; where a number or a boolean is expected, one that stands alone is read as such. */
function typeVariable(issue: z.core.$ZodIssue, source: JobFileSource): boolean {
  const written = source.writtenAt(issue.path);
  if (issue.code !== 'invalid_type' || written === undefined || !/^\$\{[^{}]*\}$/.test(written)) return false;
  const text = String(valueAt(source.value, issue.path));
  if (issue.expected === 'boolean' ? !/^(?:true|false)$/.test(text) : !/^\d{1,15}$/.test(text)) return false;
  source.replace(issue.path, JSON.parse(text.replace(/^0+(?=\d)/, '')));
  return true;
}

/** Hash of what the file means: formatting, comments and values of secrets do not change it, names of variables for secrets do. */
function fingerprint(file: JobFile): string {
  return createHash('sha256')
    .update(canonicalize(file) ?? '')
    .digest('hex');
}
