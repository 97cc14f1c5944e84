import type { ProxyOptions } from '../sources/api/api-options.ts';
import { Secret } from '../sources/auth/secret.ts';
import type { JobFileSource } from './yaml/job-file-source.ts';
import type { Outline } from './yaml/outline.ts';
import type { Path } from './yaml/path.ts';
import { isLoopback } from './schema/url.ts';

/** The proxies of one API. */
export interface ApiProxies {
  toApi: ProxyOptions | undefined;
  toTokens: ProxyOptions | undefined;
}

/** The proxies of the environment for each API and its token server; reports an address that is not valid. */
export function resolveProxies(
  { apis }: Outline,
  source: JobFileSource,
  environment: NodeJS.ProcessEnv,
): Map<string, ApiProxies> {
  const found = new Map<string, ApiProxies>();
  for (const [api, { baseUrl, auth }] of Object.entries(apis)) {
    const proxyAt = (url: unknown, path: Path): ProxyOptions | undefined => {
      if (typeof url !== 'string' || !isHttpUrl(url)) return undefined;
      try {
        return proxyTo(url, environment);
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error;
        source.report(path, error.message);
        return undefined;
      }
    };
    found.set(api, {
      toApi: proxyAt(baseUrl, ['apis', api, 'baseUrl']),
      toTokens: proxyAt(auth['tokenUrl'], ['apis', api, 'auth', 'tokenUrl']),
    });
  }
  return found;
}

const isHttpUrl = (text: string): boolean => /^https?:\/\//i.test(text) && URL.canParse(text);

/** The variables that name proxies, as curl reads them: lower case wins, an empty value means none. */
const variables = { 'http:': ['http_proxy', 'HTTP_PROXY'], 'https:': ['https_proxy', 'HTTPS_PROXY'] } as const;

/**
 * The proxy for `url`, by its scheme; undefined without one and for this machine. Throws SyntaxError for an address
 * that is not valid, without quoting it, because it may hold a password.
 */
function proxyTo(url: string, environment: NodeJS.ProcessEnv): ProxyOptions | undefined {
  const { protocol } = new URL(url);
  if ((protocol !== 'http:' && protocol !== 'https:') || isLoopback(url)) return undefined;
  const variable = variables[protocol].find((name) => environment[name] !== undefined);
  const written = variable && environment[variable];
  if (!variable || !written) return undefined;
  // Without a scheme it is http, as for curl.
  const address = /^[a-z][a-z\d+.-]*:\/\//i.test(written) ? written : `http://${written}`;
  if (!/^https?:/i.test(address) || !URL.canParse(address))
    throw new SyntaxError(
      `the environment variable ${variable} names the proxy to it; expected an address such as http://proxy.example.com:3128, got something else (socks is not supported)`,
    );
  return { url: new Secret(address), except: environment['no_proxy'] ?? environment['NO_PROXY'] ?? '' };
}
