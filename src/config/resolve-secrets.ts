import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { PinnedDatabase } from '../jobs/job.ts';
import { Secret } from '../sources/auth/secret.ts';
import type { JobFileSource } from './yaml/job-file-source.ts';
import type { Path } from './yaml/path.ts';
import type { Outline } from './yaml/outline.ts';
import type { SecretReference } from './schema/values.ts';

/** The parts of `auth` that hold a secret. */
const secretParts = ['token', 'value', 'password', 'clientSecret'];
const longest = 64 * 1024;

export interface SecretPlaces {
  environment: NodeJS.ProcessEnv;
  /** Where relative paths start. */
  folder: string;
}

/** Reads every secret an API's `auth` refers to, by API and part; reports those that cannot be read. */
export async function resolveSecrets(
  { apis }: Outline,
  source: JobFileSource,
  places: SecretPlaces,
): Promise<Map<string, Map<string, Secret>>> {
  const secrets = new Map(Object.keys(apis).map((api) => [api, new Map<string, Secret>()]));
  const references = Object.entries(apis).flatMap(([api, { auth }]) =>
    secretParts.map((part) => ({ api, part, reference: auth[part] })),
  );
  await Promise.all(
    references.map(async ({ api, part, reference }) => {
      if (!isReference(reference)) return;
      const path: Path = ['apis', api, 'auth', part, 'env' in reference ? 'env' : 'file'];
      const result = await readSecret(reference, places);
      if (result instanceof Secret) secrets.get(api)?.set(part, result);
      else source.report(path, result);
    }),
  );
  return secrets;
}

/** The database that the file pins. Undefined when it pins none, or when its address cannot be read, which is reported. */
export async function resolveDatabase(
  { database }: Pick<Outline, 'database'>,
  source: JobFileSource,
  places: SecretPlaces,
): Promise<PinnedDatabase | undefined> {
  if (database === 'embedded') return database;
  if (!isReference(database)) return undefined;
  const [part, name] = 'env' in database ? ['env', database.env] : ['file', resolve(places.folder, database.file)];
  const url = await readSecret(database, places);
  if (url instanceof Secret) return { url, name };
  source.report(['database', part], url);
  return undefined;
}

export function isReference(value: unknown): value is SecretReference {
  if (typeof value !== 'object' || value === null) return false;
  const entries = Object.entries(value);
  const [key, text] = entries[0] ?? [];
  return entries.length === 1 && (key === 'env' || key === 'file') && typeof text === 'string' && text !== '';
}

/** The secret on one line, or a sentence that says why there is none. */
async function readSecret(reference: SecretReference, places: SecretPlaces): Promise<Secret | string> {
  const secret = await readSecretText(reference, places);
  if (!(secret instanceof Secret) || !/\p{Cc}/u.test(secret.reveal())) return secret;
  const where =
    'env' in reference ? `environment variable ${reference.env}` : `file ${resolve(places.folder, reference.file)}`;
  return `the ${where} holds a line break or another control character, which a credential cannot have`;
}

/** The secret, which may have several lines, or a sentence that says why there is none. */
export async function readSecretText(
  reference: SecretReference,
  { environment, folder }: SecretPlaces,
): Promise<Secret | string> {
  if ('env' in reference) {
    const value = environment[reference.env];
    if (value === undefined)
      return `the environment variable ${reference.env} is not set; set it before you start the job`;
    return check(value, `the environment variable ${reference.env}`);
  }
  const path = resolve(folder, reference.file);
  const readable = await refuseReadableByOthers(path);
  return readable ?? check(await readFile(path, 'utf8').then((text) => text.replace(/\r?\n$/, '')), `the file ${path}`);
}

async function refuseReadableByOthers(path: string): Promise<string | undefined> {
  try {
    const found = await stat(path);
    if (!found.isFile()) return `expected a file at ${path}, got something else`;
    if (found.size > longest) return `expected a secret of at most ${longest} bytes in ${path}, got ${found.size}`;
    const others = found.mode & 0o077;
    if (others === 0 || process.platform === 'win32') return undefined;
    const mode = (found.mode & 0o777).toString(8).padStart(4, '0');
    return `expected a file that only its owner may read, but ${path} has mode ${mode}; run: chmod 600 ${path}`;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    return code === 'ENOENT'
      ? `there is no file ${path}; paths are relative to the job file`
      : `the file ${path} cannot be read (${code}); check its owner and mode`;
  }
}

function check(value: string, where: string): Secret | string {
  if (value.trim() === '') return `${where} is empty; put the secret there`;
  return new Secret(value);
}
