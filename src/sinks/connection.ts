import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import type { ConnectionOptions } from 'node:tls';
import type pg from 'pg';
import { UsageError } from '../resilience/failure.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Which database to use. */
export type Connection =
  | {
      kind: 'server';
      config: pg.PoolConfig;
      /** For people, without a password: `PostgreSQL at db.example:5432/night as etl`. */
      description: string;
      /** What was understood otherwise than the user may think; one sentence each. */
      notes: string[];
    }
  | { kind: 'embedded' };

/** What a URL or the PG* variables say, by libpq's names. */
type Parameters = Record<string, string>;

/**
 * The database that the options and the environment name: `--database-url`, NIGHTFILL_DATABASE_URL, DATABASE_URL, the
 * libpq variables, else the embedded one. Throws UsageError, which never repeats the address: it may hold a password.
 */
export function resolveConnection(o: { databaseUrl?: string; environment: Environment }): Connection {
  const { environment } = o;
  const named = [
    ['--database-url', o.databaseUrl],
    ['NIGHTFILL_DATABASE_URL', environment['NIGHTFILL_DATABASE_URL'] || undefined],
    ['DATABASE_URL', environment['DATABASE_URL'] || undefined],
  ] as const;
  for (const [name, text] of named) {
    if (text === undefined) continue;
    return serverConnection({ ...fromEnvironment(environment), ...parseUrl(text, name) }, environment);
  }
  if (environment['PGSERVICE'])
    throw new UsageError(
      'PGSERVICE is not supported: give the database with --database-url or PGHOST, PGDATABASE, PGUSER',
    );
  const parameters = fromEnvironment(environment);
  const naming = ['host', 'hostaddr', 'port', 'dbname', 'user'].some((name) => parameters[name] !== undefined);
  return naming ? serverConnection(parameters, environment) : { kind: 'embedded' };
}

const variables: Record<string, string> = {
  PGHOST: 'host',
  PGHOSTADDR: 'hostaddr',
  PGPORT: 'port',
  PGDATABASE: 'dbname',
  PGUSER: 'user',
  PGPASSWORD: 'password',
  PGSSLMODE: 'sslmode',
  PGSSLROOTCERT: 'sslrootcert',
  PGSSLCERT: 'sslcert',
  PGSSLKEY: 'sslkey',
  PGOPTIONS: 'options',
  PGCONNECT_TIMEOUT: 'connect_timeout',
};

function fromEnvironment(environment: Environment): Parameters {
  const found = Object.entries(variables).map(([variable, name]) => [name, environment[variable]] as const);
  return Object.fromEntries(found.filter((pair): pair is [string, string] => Boolean(pair[1])));
}

const expected = 'postgres://user:password@host:5432/database';

function parseUrl(text: string, name: string): Parameters {
  if (!/^postgres(ql)?:\/\//.test(text))
    throw new UsageError(`${name} must be a URL such as ${expected}; what came does not begin with postgres://`);
  const malformed = new UsageError(
    `${name} is not a valid URL: expected ${expected}, and in user and password : / ? # @ % written as %3A %2F %3F %23 %40 %25`,
  );
  if (/^postgres(ql)?:\/\/[^/?#]*,/.test(text.replace(/\/\/[^/]*@/, '//')))
    throw new UsageError(`${name} names several hosts, which is not supported: name the primary alone`);
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    // Not as the cause: the error would carry the URL.
    throw malformed;
  }
  if (url.hash !== '') throw malformed;
  const decode = (part: string): string => {
    try {
      return decodeURIComponent(part);
    } catch {
      throw malformed;
    }
  };
  const parts = {
    host: decode(url.hostname).replace(/^\[(.*)\]$/, '$1'),
    port: url.port,
    dbname: decode(url.pathname.slice(1)),
    user: decode(url.username),
    password: decode(url.password),
  };
  const given = Object.entries(parts).filter(([, value]) => value !== '');
  return { ...Object.fromEntries(given), ...Object.fromEntries(url.searchParams) };
}

const understood = new Set([...Object.values(variables), 'application_name']);

function serverConnection(parameters: Parameters, environment: Environment): Connection {
  const { host = 'localhost', hostaddr, options, password } = parameters;
  const port = wholeNumber(parameters, 'port', { otherwise: 5432, largest: 65_535 });
  const seconds = wholeNumber(parameters, 'connect_timeout', { otherwise: 10, largest: 86_400 });
  const user = parameters['user'] ?? environment['USER'] ?? userInfo().username;
  const database = parameters['dbname'] ?? user;
  const notes = Object.keys(parameters)
    .filter((name) => !understood.has(name))
    .map((name) => `the parameter ${name} of the database URL is ignored`);
  const ssl = encryption(parameters, notes);
  if (hostaddr && ssl) ssl.servername = host;
  return {
    kind: 'server',
    config: {
      host: hostaddr ?? host,
      port,
      user,
      database,
      ssl: ssl ?? false,
      connectionTimeoutMillis: seconds * 1_000,
      ...(password !== undefined && { password }),
      ...(options !== undefined && { options }),
    },
    description: `PostgreSQL at ${host.includes(':') ? `[${host}]` : host}:${port}/${database} as ${user}`,
    notes,
  };
}

/**
 * libpq's sslmode, except that there is no half trust: a certificate is always verified, with the host's name, unless
 * `no-verify` says otherwise. Without sslmode the connection is not encrypted.
 */
function encryption(parameters: Parameters, notes: string[]): ConnectionOptions | undefined {
  const { sslmode, sslrootcert, sslcert, sslkey } = parameters;
  switch (sslmode) {
    case undefined:
    case 'disable':
      return undefined;
    case 'no-verify':
      notes.push("sslmode=no-verify: encrypted, but the server's certificate is not verified");
      break;
    case 'allow':
    case 'prefer':
    case 'require':
    case 'verify-ca':
      notes.push(`sslmode=${sslmode} is taken as verify-full: the server must prove its name with a certificate`);
      break;
    case 'verify-full':
      break;
    default:
      throw new UsageError(
        'sslmode must be disable, verify-full or no-verify (allow, prefer, require and verify-ca are taken as verify-full)',
      );
  }
  return {
    rejectUnauthorized: sslmode !== 'no-verify',
    // `system` means the authorities this machine trusts anyway.
    ...(sslrootcert && sslrootcert !== 'system' && { ca: certificate('sslrootcert', sslrootcert) }),
    ...(sslcert && { cert: certificate('sslcert', sslcert) }),
    ...(sslkey && { key: certificate('sslkey', sslkey) }),
  };
}

function certificate(name: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new UsageError(`${name} names the file ${file}, which cannot be read (${code})`, { cause: error });
  }
}

function wholeNumber(parameters: Parameters, name: string, o: { otherwise: number; largest: number }): number {
  const text = parameters[name];
  if (text === undefined) return o.otherwise;
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= 1 && number <= o.largest) return number;
  throw new UsageError(`the database's ${name} must be a whole number from 1 to ${o.largest}`);
}
