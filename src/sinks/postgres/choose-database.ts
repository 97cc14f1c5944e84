import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import type { ConnectionOptions } from 'node:tls';
import type pg from 'pg';
import { UsageError } from '../../resilience/failure.ts';
import { parameterNames, parameterVariables, parseDatabaseUrl, type AddressParameters } from './database-url.ts';

/** Which database a run uses. `description` holds no password: `PostgreSQL at db.example:5432/night as etl`. */
export type Connection = { kind: 'server'; config: pg.PoolConfig; description: string } | { kind: 'embedded' };

/** The database that a job file pins. */
export type PinnedDatabase =
  | 'embedded'
  | {
      url: { reveal(): string };
      /** Where the URL stands, for messages: `WAREHOUSE_URL`, or a file's path. */
      name: string;
    };

export interface DatabaseChoice {
  /** As given on the command line. */
  databaseUrl?: string | undefined;
  environment: NodeJS.ProcessEnv;
  /** Named in the job file: it overrides everything else. */
  pinned?: PinnedDatabase | undefined;
  /** What started an unattended run, for example `cron`: it uses the embedded database only when that is named. */
  unattended?: string | undefined;
}

/** Any of these selects a server; PGPASSWORD or PGSSLMODE alone does not. */
const serverVariables = ['PGHOST', 'PGHOSTADDR', 'PGPORT', 'PGDATABASE', 'PGUSER', 'PGSERVICE'];

/**
 * The database that the job file pins; else the one meant by `--database-url`, `NIGHTFILL_DATABASE_URL`, `DATABASE_URL` or libpq's `PG*` variables, the
 * first of these; the embedded one when none is set. As in libpq, `PG*` variables also complete a URL, but not a pinned
 * one. Throws UsageError.
 */
export function resolveConnection(o: DatabaseChoice): Connection {
  const { environment } = o;
  if (o.pinned !== undefined) return pinnedConnection(o.pinned, o);
  if (o.databaseUrl?.trim() === '') {
    throw new UsageError('--database-url is empty: give postgres://user@host:5432/database, or leave it out', {
      code: 'DATABASE_URL_INVALID',
    });
  }
  const urls = [
    ['--database-url', o.databaseUrl],
    ...['NIGHTFILL_DATABASE_URL', 'DATABASE_URL'].map((name) => [name, environment[name]] as const),
  ] as const;
  const [name, url] = urls.find(([, value]) => value?.trim()) ?? [];
  if (name === undefined && !serverVariables.some((variable) => environment[variable])) {
    if (o.unattended === undefined) return { kind: 'embedded' };
    throw new UsageError(
      `no database is named, and an unattended start (--trigger ${o.unattended}) does not fall back to the embedded one, because a missing variable would send the rows to the wrong database: ` +
        'name it in the job file with database: { env: WAREHOUSE_URL }, or set DATABASE_URL; to use the embedded one, write database: embedded',
      { code: 'DATABASE_NOT_NAMED' },
    );
  }
  if (url === undefined && environment['PGSERVICE']) {
    throw new UsageError('PGSERVICE is not supported: set PGHOST, PGPORT, PGDATABASE and PGUSER, or DATABASE_URL', {
      code: 'DATABASE_SERVICE_UNSUPPORTED',
    });
  }
  const given = url === undefined ? {} : parseDatabaseUrl(name!, url.trim());
  return connectionOf({ ...fromEnvironment(environment), ...given });
}

function pinnedConnection(pinned: PinnedDatabase, { databaseUrl, environment }: DatabaseChoice): Connection {
  if (databaseUrl !== undefined)
    throw new UsageError(
      `the job file pins its database (database: ${pinned === 'embedded' ? pinned : `in ${pinned.name}`}), and --database-url names another place; leave --database-url out, or take database: out of the job file`,
      { code: 'DATABASE_PINNED' },
    );
  if (pinned === 'embedded') return { kind: 'embedded' };
  const { url, name } = pinned;
  const connection = connectionOf(parseDatabaseUrl(name, url.reveal().trim()));
  // Without options pg takes PGOPTIONS; a blank prevents that.
  if (connection.kind === 'server' && environment['PGOPTIONS']) connection.config.options ??= ' ';
  return connection;
}

function fromEnvironment(environment: NodeJS.ProcessEnv): AddressParameters {
  const set = parameterNames.filter((name) => environment[parameterVariables[name]]);
  return Object.fromEntries(set.map((name) => [name, environment[parameterVariables[name]]]));
}

/** Every value is set, because pg would fill gaps from the process's own environment. */
function connectionOf(given: AddressParameters): Connection {
  const host = given.host ?? 'localhost';
  const port = wholeNumber('port', given.port ?? '5432', 65_535);
  const user = given.user ?? accountName();
  const database = given.dbname ?? user;
  if (host.includes(','))
    throw new UsageError('expected one database host, got several: name the primary alone', {
      code: 'DATABASE_HOSTS_UNSUPPORTED',
    });
  const ssl = encryption(given);
  // The certificate is verified for the host name, whatever its address is.
  if (given.hostaddr && ssl) ssl.servername = host;
  const config: pg.PoolConfig = { host: given.hostaddr ?? host, port, user, database, ssl };
  // Without a password pg looks into PGPASSFILE or ~/.pgpass.
  if (given.password !== undefined) config.password = given.password;
  if (given.options !== undefined) config.options = given.options;
  if (given.connect_timeout !== undefined)
    config.connectionTimeoutMillis = wholeNumber('connect_timeout', given.connect_timeout, 86_400) * 1000;
  if (given.channel_binding !== undefined) config.enableChannelBinding = given.channel_binding !== 'disable';
  const place = host.includes(':') ? `[${host}]` : host;
  return { kind: 'server', config, description: `PostgreSQL at ${place}:${port}/${database} as ${user}` };
}

function accountName(): string {
  try {
    return userInfo().username;
  } catch {
    // A container's numeric user has no name.
    return 'postgres';
  }
}

/**
 * What `sslmode` asks for. Where it asks for encryption the certificate and the host name are verified, also where libpq would not, because encryption alone does not stop a man in the middle. `prefer` is unencrypted for the
 * same reason.
 */
function encryption({
  sslmode = 'prefer',
  sslrootcert,
  sslcert,
  sslkey,
}: AddressParameters): ConnectionOptions | false {
  switch (sslmode) {
    case 'disable':
    case 'none':
    case 'allow':
    case 'prefer':
      return false;
    case 'no-verify':
    case 'require':
    case 'verify-ca':
    case 'verify-full':
      return {
        rejectUnauthorized: sslmode !== 'no-verify',
        ...(sslrootcert && sslrootcert !== 'system' ? { ca: contents('sslrootcert', sslrootcert) } : {}),
        ...(sslcert ? { cert: contents('sslcert', sslcert) } : {}),
        ...(sslkey ? { key: contents('sslkey', sslkey) } : {}),
      };
    default:
      throw new UsageError(
        'the sslmode is unknown: use verify-full, disable, or no-verify to encrypt without verifying the server',
        { code: 'DATABASE_SSLMODE_INVALID' },
      );
  }
}

function contents(name: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new UsageError(`the file ${file} named by ${name} of the database address cannot be read`, {
      code: 'DATABASE_CERTIFICATE_UNREADABLE',
      cause,
    });
  }
}

function wholeNumber(name: string, text: string, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= most) return value;
  throw new UsageError(`the ${name} of the database address must be a whole number up to ${most}`, {
    code: 'DATABASE_URL_INVALID',
  });
}
