import { mkdir, writeFile } from 'node:fs/promises';
import { join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { starterJob } from '../config/starter-job.ts';
import { UsageError } from '../resilience/failure.ts';
import { writeLines, type Terminal } from '../session/terminal.ts';

/** The schema with which editors complete job files. */
const jobSchema = fileURLToPath(new URL('../../schema/job.schema.json', import.meta.url));

/** `nightfill init`: writes the commented job file that ships with the package; never overwrites a file. */
export async function initCommand(
  directory: string,
  { stdout, directory: from }: Pick<Terminal, 'stdout' | 'directory'>,
): Promise<number> {
  const file = join(directory, 'contract-enrichment.yaml');
  const folder = resolve(from, directory);
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(resolve(from, file), await starterJob(schemaReference(folder)), { flag: 'wx' });
  } catch (error) {
    const exists = (error as NodeJS.ErrnoException).code === 'EEXIST';
    throw new UsageError(
      exists
        ? `${file} already exists, and init does not overwrite it; name another folder`
        : `${file} cannot be written: ${(error as Error).message}`,
      { code: 'INIT_FILE', cause: error },
    );
  }
  writeLines(stdout, [file]);
  return 0;
}

/**
 * How a job file in `directory` refers to the schema: by a relative path if both are in the project that installed the
 * package, because that is valid on other machines too; otherwise (a global install, npx's cache) by the absolute path.
 */
export function schemaReference(directory: string, schema = jobSchema): string {
  const installed = schema.lastIndexOf(`${sep}node_modules${sep}`);
  const project = installed === -1 ? resolve(schema, '..', '..') : schema.slice(0, installed);
  const folder = resolve(directory);
  if (folder !== project && !folder.startsWith(project + sep)) return schema;
  const path = relative(folder, schema).split(sep).join('/');
  return path.startsWith('.') ? path : `./${path}`;
}
