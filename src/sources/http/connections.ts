// oxlint-disable-next-line no-restricted-imports -- opens sockets; `exchange` bounds what is sent through them
import { type Dispatcher, EnvHttpProxyAgent, Pool } from 'undici';
import type { ProxyOptions, TlsOptions } from '../api/api-options.ts';
import { openPool } from './exchange.ts';

export interface ConnectionOptions {
  /** Open sockets. */
  connections: number;
  /** Milliseconds. */
  connectTimeout: number;
  tls?: TlsOptions | undefined;
  proxy?: ProxyOptions | undefined;
}

/** The sockets to one origin, direct or through a proxy. */
export interface Connections extends Pick<Dispatcher, 'dispatch'> {
  /**
   * To be called when no caller waits for an answer. Not undici's `close`, because that waits for connections that aborted
   * requests had opened, which takes seconds when the host does not answer.
   */
  destroy(): Promise<void>;
}

/**
 * Opens the sockets to an origin. Through a proxy each is a separate tunnel (CONNECT) or, for http, a socket to the proxy;
 * `connections` limits them. A request is written, and its permit stamped, once its tunnel is open.
 */
export function openConnections(
  origin: string,
  { tls, proxy, connections, connectTimeout }: ConnectionOptions,
): Connections {
  const own = {
    ...(tls?.ca !== undefined && { ca: tls.ca }),
    ...(tls?.cert !== undefined && { cert: tls.cert }),
    ...(tls?.key && { key: tls.key.reveal() }),
  };
  const poolTo = (to: string, connect: Pool.Options['connect']): Pool =>
    openPool(to, { connections, connectTimeout, ...(connect && { connect }) });
  if (!proxy) return poolTo(origin, own);
  const uri = proxy.url.reveal();
  const agent = new EnvHttpProxyAgent({
    // `proxy` was already chosen by the origin's scheme; undici would fall back to HTTP_PROXY for https.
    httpProxy: uri,
    httpsProxy: uri,
    noProxy: proxy.except,
    connectTimeout,
    // Undici gives `connect` only for a proxied origin, not for one in NO_PROXY.
    factory: (to: string | URL, { connect }: Pool.Options) => poolTo(String(to), connect ?? own),
    // With HTTP/2 all requests would share one tunnel, and `connections` would limit nothing.
    requestTls: { allowH2: false, ...own },
    // A proxy that never answers a CONNECT is treated as a host that does not answer.
    clientFactory: (to: URL, options: Pool.Options) => new Pool(to, { ...options, headersTimeout: connectTimeout }),
  });
  return {
    dispatch: (options, handler) => agent.dispatch({ ...options, origin }, handler),
    destroy: async () => agent.destroy(),
  };
}
