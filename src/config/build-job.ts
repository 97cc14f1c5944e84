import { resolve } from 'node:path';
import type { Control, Job, Lookup, PinnedDatabase } from '../jobs/job.ts';
import type { ApiOptions, AuthOptions, QuotaLimit, TlsOptions } from '../sources/api/api-options.ts';
import { apiKinds } from '../sources/api/kinds.ts';
import { leaveHeadroom } from '../sources/api/headroom.ts';
import { Secret } from '../sources/auth/secret.ts';
import { templatePaths } from '../sources/json/template.ts';
import { defaults } from './schema/defaults.ts';
import type { JobFile } from './schema/job-schema.ts';
import type { ApiProxies } from './proxies.ts';
import { inDependencyOrder, lookupNeeds } from './lookup-order.ts';
import { parsePercentage } from './schema/quantity.ts';

type ApiFile = JobFile['apis'][string];
type Quota = NonNullable<ApiFile['limits']['quota']>;

interface Surroundings {
  /** Absolute path of the job file. */
  path: string;
  folder: string;
  sha256: string;
  /** By API, then by the part of `auth`. */
  secrets: Map<string, Map<string, Secret>>;
  /** By API. */
  tls: Map<string, TlsOptions>;
  proxies: Map<string, ApiProxies>;
  database: PinnedDatabase | undefined;
}

/** The job that a valid file describes. */
export function buildJob(
  { apis, lookups, load, controls, transform, database: _, ...rest }: JobFile,
  { path, folder, sha256, secrets, tls, proxies, database }: Surroundings,
): Job {
  return {
    ...rest,
    ...(database === undefined ? {} : { database }),
    apis: Object.fromEntries(
      Object.entries(apis).map(([name, api]) => [
        name,
        buildApi(api, {
          name,
          timezone: rest.timezone,
          secrets: secrets.get(name) ?? new Map(),
          tls: tls.get(name),
          proxies: proxies.get(name),
        }),
      ]),
    ),
    lookups: buildLookups(lookups),
    load: { ...load, columns: Object.entries(load.columns).map(([name, column]) => ({ name, ...column })) },
    controls: withListedControl(controls.map(buildControl)),
    ...(transform === undefined ? {} : { transform: { ...transform, module: resolve(folder, transform.module) } }),
    file: { path, sha256 },
  };
}

function buildApi(
  file: ApiFile,
  {
    name,
    timezone,
    secrets,
    tls,
    proxies,
  }: {
    name: string;
    timezone: string;
    secrets: Map<string, Secret>;
    tls: TlsOptions | undefined;
    proxies: ApiProxies | undefined;
  },
): ApiOptions {
  const { auth, limits, connections, maxResponse, breaker, tls: _, ...rest } = file;
  const { successes, trials = successes ?? defaults.breaker.trials, ...opens } = breaker;
  return {
    ...rest,
    name,
    auth: buildAuth(auth, secrets),
    ...(tls && { tls }),
    ...(proxies?.toApi && { proxy: proxies.toApi }),
    ...(proxies?.toTokens && { tokenProxy: proxies.toTokens }),
    limits: {
      concurrency: limits.concurrency,
      rates: limits.rates.map(({ requests, per }) => ({ requests: leaveHeadroom(requests, limits.headroom), per })),
      headroom: limits.headroom,
      ...(limits.quota === undefined ? {} : { quota: buildQuota(limits.quota, timezone) }),
    },
    connections: connections ?? limits.concurrency,
    responses: [...rest.responses, ...apiKinds[rest.type].responses],
    maxResponseBytes: maxResponse,
    breaker: { ...opens, trials },
  };
}

function buildQuota({ per: _, header, ...quota }: Quota, timezone: string): QuotaLimit {
  return { ...quota, ...(header === undefined ? {} : { header: header.toLowerCase() }), timezone };
}

function buildAuth(auth: ApiFile['auth'], secrets: Map<string, Secret>): AuthOptions {
  const secret = (part: string): Secret => secrets.get(part) ?? new Secret('');
  switch (auth.type) {
    case 'none':
      return auth;
    case 'bearer':
      return { ...auth, token: secret('token') };
    case 'header':
      return { ...auth, value: secret('value') };
    case 'basic':
      return { ...auth, password: secret('password') };
    case 'oauth2':
      return { ...auth, clientSecret: secret('clientSecret') };
    default:
      return auth satisfies never;
  }
}

function buildLookups(lookups: JobFile['lookups']): Lookup[] {
  const templates = ({ path, query }: JobFile['lookups'][string]) => [path, ...Object.values(query)];
  const paths = new Map(
    Object.entries(lookups).map(([name, lookup]) => [name, templates(lookup).flatMap(templatePaths)]),
  );
  const needs = lookupNeeds(paths);
  return inDependencyOrder(needs).map((name) => {
    const { maxAge, ...lookup } = lookups[name]!;
    return { ...lookup, name, needs: needs.get(name)!, maxAge: maxAge ?? Infinity };
  });
}

function buildControl(control: JobFile['controls'][number]): Control {
  const { severity, tolerance = { absolute: '0', share: 0 } } = control;
  const judged = { severity, tolerance };
  if ('completeness' in control) return { type: 'completeness', atLeast: control.completeness, ...judged };
  if ('listed' in control)
    return { type: 'listed', change: control.listed === 'any' ? null : control.listed.change, ...judged };
  const of = { column: control.sum, ...(control.by === undefined ? {} : { by: control.by }) };
  return control.change === undefined
    ? { type: 'sum', ...of, ...judged }
    : { type: 'change', ...of, change: control.change, ...judged };
}

/** Adds the default control unless the job file has one: a run with an empty or collapsed listing must fail. */
function withListedControl(controls: Control[]): Control[] {
  if (controls.some(({ type }) => type === 'listed')) return controls;
  const change = parsePercentage(defaults.listedChange)!;
  return [...controls, { type: 'listed', change, severity: 'fail', tolerance: { absolute: '0', share: 0 } }];
}
