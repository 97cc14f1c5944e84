import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { JobFileError } from '../../src/config/yaml/job-file-error.ts';
import { loadJob, type LoadJobOptions } from '../../src/config/load-job.ts';
import type { Job } from '../../src/jobs/job.ts';

export const environment = {
  CRM_URL: 'http://127.0.0.1:4010/',
  CRM_TOKEN: 'crm-hush-hush',
  USAGE_URL: 'http://127.0.0.1:4011/api/',
  USAGE_KEY: 'usage-hush-hush',
};

/** The smallest job: what is not said is left to the defaults. */
export const smallJob = `name: small
apis:
  crm:
    type: rest
    baseUrl: https://crm.example
contracts:
  api: crm
  path: /contracts
  key: id
load:
  table: contracts
  key: [id]
  columns:
    id: { from: listed.id, type: text }
    amount: { from: listed.amount, type: "numeric(18,2)" }
    currency: { from: listed.currency, type: char(3) }
`;

/** Writes `files` (job.yaml and what it refers to) into a folder of their own, which is gone afterwards. */
export async function inFolder<Value>(
  files: Record<string, string | Uint8Array>,
  use: (folder: string) => Promise<Value>,
): Promise<Value> {
  const folder = await mkdtemp(join(tmpdir(), 'nightfill-config-'));
  try {
    for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content, { mode: 0o600 });
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

export async function load(text: string | Uint8Array, options: LoadJobOptions = { environment }): Promise<Job> {
  return inFolder({ 'job.yaml': text }, async (folder) => loadJob(join(folder, 'job.yaml'), options));
}

/** The error that loading `text` ends with. */
export async function refusal(text: string | Uint8Array, options?: LoadJobOptions): Promise<JobFileError> {
  try {
    await load(text, options);
  } catch (error) {
    if (error instanceof JobFileError) return error;
    throw error;
  }
  throw new Error('the job file was taken');
}
