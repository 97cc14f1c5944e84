import assert from 'node:assert/strict';
import { Api, RequestError } from '../../src/sources/api/api.ts';
import { ApiRestsError } from '../../src/sources/api/api-rests-error.ts';
import type { ApiOptions } from '../../src/sources/api/api-options.ts';
import { ScriptedServer, type Script } from './scripted-server.ts';

type Changes = Partial<Omit<ApiOptions, 'retry' | 'breaker' | 'limits'>> & {
  retry?: Partial<ApiOptions['retry']>;
  breaker?: Partial<ApiOptions['breaker']>;
  limits?: Partial<ApiOptions['limits']>;
};

/** Options of an API named `crm` with delays of a few milliseconds and no rate limit. */
export function apiOptions(baseUrl: string, { retry, breaker, limits, ...rest }: Changes = {}): ApiOptions {
  return {
    name: 'crm',
    type: 'rest',
    baseUrl,
    auth: { type: 'none' },
    headers: {},
    limits: { concurrency: 10, rates: [], ...limits },
    connections: 10,
    timeout: 5_000,
    retry: {
      attempts: 3,
      backoff: 'constant',
      baseDelay: 1,
      maxDelay: 10,
      jitter: false,
      maxElapsed: 5_000,
      ...retry,
    },
    breaker: { failures: 100, openFor: 100, trials: 1, ...breaker },
    responses: [],
    maxResponseBytes: 1024 * 1024,
    ...rest,
  };
}

/** A server with the script and an API that asks it, both closed together. */
export async function startApi(script: Script, changes: Changes = {}) {
  const server = await ScriptedServer.start(script);
  const api = new Api(apiOptions(server.origin, changes));
  return {
    server,
    api,
    async [Symbol.asyncDispose]() {
      try {
        await api.close();
      } finally {
        await server[Symbol.asyncDispose]();
      }
    },
  };
}

/** What the request fails with for its own sake. */
export async function failure(request: Promise<unknown>): Promise<RequestError> {
  const error = await reasonOf(request);
  assert.ok(error instanceof RequestError, String(error));
  return error;
}

/** What a request is told that was not asked, because its API rests or the deadline came first. */
export async function rests(request: Promise<unknown>): Promise<ApiRestsError> {
  const error = await reasonOf(request);
  assert.ok(error instanceof ApiRestsError, String(error));
  return error;
}

const reasonOf = async (request: Promise<unknown>): Promise<unknown> =>
  request.then(
    () => undefined,
    (reason: unknown) => reason,
  );
