import type { JsonPath } from '../json/json-path.ts';
import type { Secret } from '../auth/secret.ts';
import type { Template } from '../json/template.ts';

/** At most `requests` in any interval of `per` milliseconds. */
export interface Rate {
  requests: number;
  per: number;
}

/** Requests per day. At least one of `requests` and `header` is given. */
export interface QuotaLimit {
  /** Undefined: as many as the API tells. */
  requests?: number;
  /** The share of them that is left for others. */
  reserve: number;
  /** In lower case: the API's answers tell there what is left. */
  header?: string;
  /** Its midnight begins a day. */
  timezone: string;
}

export type AuthOptions =
  | { type: 'none' }
  | { type: 'bearer'; token: Secret }
  | { type: 'header'; name: string; value: Secret }
  | { type: 'basic'; username: string; password: Secret }
  | {
      type: 'oauth2';
      tokenUrl: string;
      clientId: string;
      clientSecret: Secret;
      scope?: string;
      audience?: string;
    };

/** A way out through a proxy. */
export interface ProxyOptions {
  /** http or https, and may hold a user and a password. */
  url: Secret;
  /** As in NO_PROXY: hosts that are asked without it. */
  except: string;
}

/** PEM texts. */
export interface TlsOptions {
  /** Authorities trusted in place of the usual ones. */
  ca?: string;
  /** The client certificate and what stands between it and its authority; together with `key`. */
  cert?: string;
  key?: Secret;
}

/** What an answer means. `ok` carries data, `retry` and `rate-limited` may be asked again, `fail` may not, `missing` says the record does not exist. */
export const responseActions = ['ok', 'retry', 'rate-limited', 'fail', 'missing', 'unauthorized'] as const;
export type ResponseAction = (typeof responseActions)[number];

/** A job file's own reading of an answer; every condition given must hold. */
export interface ResponseRule {
  status?: number;
  contains?: string;
  action: ResponseAction;
}

/** All durations in milliseconds. */
export interface ApiOptions {
  name: string;
  type: 'rest';
  /** Origin and optional path prefix, without a trailing slash. */
  baseUrl: string;
  auth: AuthOptions;
  headers: Record<string, string>;
  tls?: TlsOptions;
  proxy?: ProxyOptions;
  /** On the way to the token server. */
  tokenProxy?: ProxyOptions;
  limits: {
    /** Requests in flight. */
    concurrency: number;
    /** Every window holds at once; already lowered by the headroom. */
    rates: Rate[];
    /** The share of a limit that is left for others; for limits that the API announces. 0 when not given. */
    headroom?: number;
    quota?: QuotaLimit;
  };
  /** Open sockets. */
  connections: number;
  /** Of one attempt, body included. */
  timeout: number;
  retry: {
    attempts: number;
    backoff: 'exponential' | 'linear' | 'constant';
    baseDelay: number;
    maxDelay: number;
    jitter: boolean;
    maxElapsed: number;
  };
  /** By failures in a row where `failures` is given, by the rate where one of its three keys is, or nothing is. */
  breaker: {
    failures?: number;
    failureRate?: number;
    window?: number;
    minimumCalls?: number;
    openFor: number;
    trials: number;
  };
  responses: ResponseRule[];
  /** Decompressed bytes of one answer; a longer one is a failure. */
  maxResponseBytes: number;
}

export type Pagination =
  | { type: 'none' }
  | { type: 'cursor'; next: JsonPath; param: string }
  | { type: 'offset'; param: string; limitParam?: string; limit: number }
  | { type: 'page'; param: string; first: number }
  | { type: 'link-header' }
  | { type: 'next-url'; next: JsonPath };

/** A GET request: what a lookup and a listing page have in common. */
export interface RequestTemplate {
  api: string;
  path: Template;
  query: Record<string, Template>;
}

export interface ContractListing extends RequestTemplate {
  /** Where the array stands in the answer; absent when the answer is the array itself. */
  records?: JsonPath;
  /** The contract's key within its record. */
  key: JsonPath;
  paginate: Pagination;
  /** The source's own count. */
  total?: { path: JsonPath } | { header: string };
}
