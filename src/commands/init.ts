import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { starterJob } from '../config/starter-job.ts';
import { UsageError } from '../resilience/failure.ts';
import type { Terminal } from './terminal.ts';

/** Where editors find the schema that completes job files. */
const jobSchema = fileURLToPath(new URL('../../schema/job.schema.json', import.meta.url));

/** `nightfill init`: writes the commented job file that ships with the package; never over an existing one. */
export async function initCommand(directory: string, { stdout }: Terminal): Promise<number> {
  const file = join(directory, 'contract-enrichment.yaml');
  try {
    await mkdir(directory, { recursive: true });
    await writeFile(file, await starterJob(jobSchema), { flag: 'wx' });
  } catch (error) {
    const exists = (error as NodeJS.ErrnoException).code === 'EEXIST';
    throw new UsageError(
      exists
        ? `${file} exists already, and init does not write over it; name another folder`
        : `${file} cannot be written: ${(error as Error).message}`,
      { code: 'INIT_FILE', cause: error },
    );
  }
  stdout.write(`${file}\n`);
  return 0;
}
