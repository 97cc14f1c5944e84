import { UsageError } from '../../resilience/failure.ts';

/** The parameters of a database address by their name in a URL, with libpq's environment variable for each. */
export const parameterVariables = {
  host: 'PGHOST',
  hostaddr: 'PGHOSTADDR',
  port: 'PGPORT',
  dbname: 'PGDATABASE',
  user: 'PGUSER',
  password: 'PGPASSWORD',
  options: 'PGOPTIONS',
  connect_timeout: 'PGCONNECT_TIMEOUT',
  sslmode: 'PGSSLMODE',
  sslrootcert: 'PGSSLROOTCERT',
  sslcert: 'PGSSLCERT',
  sslkey: 'PGSSLKEY',
  channel_binding: 'PGCHANNELBINDING',
} as const;

export type Parameter = keyof typeof parameterVariables;
export type AddressParameters = Partial<Record<Parameter, string>>;

export const parameterNames = Object.keys(parameterVariables) as Parameter[];

// For other tools that share the URL, or without effect here.
const ignored = new Set(
  'application_name client_encoding gssencmode uselibpqcompat schema pgbouncer connection_limit pool_timeout'.split(
    ' ',
  ),
);

/**
 * The parameters of a URL such as `postgres://etl@db.example:5432/night?sslmode=verify-full`. By hand, because `URL` refuses a user without a host. `name` is where the
 * URL came from, for the messages. Throws UsageError, which never quotes the URL: any part may belong to a password.
 */
export function parseDatabaseUrl(name: string, text: string): AddressParameters {
  if (!/^postgres(ql)?:\/\//.test(text)) {
    throw invalid(name, 'it does not begin with postgres://');
  }
  // Without a host, as in postgres://etl@/night, there is a user all the same; the URL standard allows none.
  const [, authority = '', rest = ''] = /^[a-z]+:\/\/([^/?#]*)(.*)$/s.exec(text) ?? [];
  const at = authority.lastIndexOf('@');
  const credentials = authority.slice(0, Math.max(0, at));
  const place = authority.slice(at + 1);
  if (/[@#]/.test(rest)) {
    throw invalid(name, 'a character such as @ : / ? or # in the user or the password must be percent-encoded');
  }
  const [user, password] = splitOnce(credentials, ':');
  const [, host, port] = /^(\[[^\]]*\]|[^:[\]]*)(?::(\d*))?$/.exec(place) ?? [];
  if (host === undefined) {
    throw invalid(
      name,
      place.includes(',')
        ? 'expected one host, got several: name the primary alone'
        : 'the host and port cannot be read; is a character such as / ? or # in the password not percent-encoded',
    );
  }
  const [path = '', query] = splitOnce(rest, '?');
  const decode = (part: string | undefined): string => decoded(name, part ?? '');
  const parameters: Record<string, string> = {
    user: decode(user),
    password: decode(password),
    host: decode(host.replace(/^\[|\]$/g, '')),
    port: port ?? '',
    dbname: decode(path.slice(1)),
  };
  for (const pair of (query ?? '').split('&').filter(Boolean)) {
    const [key = '', value] = splitOnce(pair, '=').map(decode);
    if (ignored.has(key)) continue;
    const parameter = key === 'ssl' ? 'sslmode' : key;
    if (!parameterNames.includes(parameter as Parameter)) {
      const named = /^[a-z_]{1,30}$/i.test(key) ? ` "${key}"` : '';
      throw invalid(name, `it has an unknown parameter${named}; known are ${parameterNames.join(', ')}`);
    }
    parameters[parameter] = key === 'ssl' ? sslmodeOf(value ?? '') : (value ?? '');
  }
  return Object.fromEntries(Object.entries(parameters).filter(([, value]) => value !== ''));
}

/** Whether a URL, well-formed or not, holds a password. */
export const holdsPassword = (url: string): boolean => /:\/\/[^?]*:[^?@]+@|[?&]password=[^&]/.test(url);

/** `ssl=true` is the spelling of drivers other than libpq. */
const sslmodeOf = (ssl: string): string =>
  ({ '': 'verify-full', true: 'verify-full', '1': 'verify-full', false: 'disable', '0': 'disable' })[ssl] ?? ssl;

function decoded(name: string, part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw invalid(name, 'a % in it is not followed by two hexadecimal digits; a % itself is written %25');
  }
}

function splitOnce(text: string, separator: string): string[] {
  const index = text.indexOf(separator);
  return index === -1 ? [text] : [text.slice(0, index), text.slice(index + 1)];
}

const invalid = (name: string, reason: string): UsageError =>
  new UsageError(`${name} is not a database URL such as postgres://user:password@host:5432/database: ${reason}`, {
    code: 'DATABASE_URL_INVALID',
  });
