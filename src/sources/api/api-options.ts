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
  /** Undefined: as many as the API announces. */
  requests?: number;
  /** The share of them reserved for other users. */
  reserve: number;
  /** In lower case: the header in which the API announces what is left. */
  header?: string;
  /** A day begins at midnight in this zone. */
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

/** The proxy for outgoing requests. */
export interface ProxyOptions {
  /** http or https; may contain a user name and password. */
  url: Secret;
  /** Hosts that are asked without the proxy, as in NO_PROXY. */
  except: string;
}

/** PEM texts. */
export interface TlsOptions {
  /** Authorities trusted in place of the usual ones. */
  ca?: string;
  /** The client certificate with its intermediate certificates; requires `key`. */
  cert?: string;
  key?: Secret;
}

/** What an answer means. `ok` carries data; `retry` and `rate-limited` may be retried, `fail` may not; `missing`: no such record. */
export const responseActions = ['ok', 'retry', 'rate-limited', 'fail', 'missing', 'unauthorized'] as const;
export type ResponseAction = (typeof responseActions)[number];

/** A job file's rule for answers; all given conditions must match. */
export interface ResponseRule {
  status?: number;
  contains?: string;
  action: ResponseAction;
}

/** All durations in milliseconds. */
export interface ApiOptions {
  name: string;
  /** Named in kinds.ts. What is special about it is in these options already, so no code asks for it. */
  type: string;
  /** Origin and optional path prefix, without a trailing slash. */
  baseUrl: string;
  auth: AuthOptions;
  headers: Record<string, string>;
  tls?: TlsOptions;
  proxy?: ProxyOptions;
  /** The proxy to the token server. */
  tokenProxy?: ProxyOptions;
  limits: {
    /** Requests in flight. */
    concurrency: number;
    /** All windows apply at once; already reduced by the headroom. */
    rates: Rate[];
    /** The share of a limit left for other users, applied to limits that the API announces. Default: 0. */
    headroom?: number;
    quota?: QuotaLimit;
  };
  /** Open sockets. */
  connections: number;
  /** Of one attempt, including the body. */
  timeout: number;
  retry: {
    attempts: number;
    backoff: 'exponential' | 'linear' | 'constant';
    baseDelay: number;
    maxDelay: number;
    jitter: boolean;
    maxElapsed: number;
  };
  /** Opens by consecutive `failures` if given; by the rate if one of its three keys is given, or nothing is. */
  breaker: {
    failures?: number;
    failureRate?: number;
    window?: number;
    minimumCalls?: number;
    openFor: number;
    trials: number;
  };
  responses: ResponseRule[];
  /** Decompressed bytes of one answer; a longer answer fails. */
  maxResponseBytes: number;
}

export type Pagination =
  | { type: 'none' }
  | { type: 'cursor'; next: JsonPath; param: string }
  | { type: 'offset'; param: string; limitParam?: string; limit: number }
  | { type: 'page'; param: string; first: number }
  | { type: 'link-header' }
  | { type: 'next-url'; next: JsonPath };

/** A GET request: the common part of a lookup and a listing page. */
export interface RequestTemplate {
  api: string;
  path: Template;
  query: Record<string, Template>;
}

export interface ContractListing extends RequestTemplate {
  /** Path of the array in the answer; absent when the answer is the array itself. */
  records?: JsonPath;
  /** The contract's key within its record. */
  key: JsonPath;
  paginate: Pagination;
  /** The source's own count. */
  total?: { path: JsonPath } | { header: string };
}
