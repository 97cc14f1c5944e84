/**
 * An http(s) address without a trailing slash. Throws SyntaxError for one with a user, query or fragment, and for the
 * link-local addresses where clouds hand out credentials. No message quotes it: it may hold a password.
 */
export function parseHttpUrl(written: string): string | undefined {
  if (!/^https?:\/\/[^\s\\]+$/i.test(written) || !URL.canParse(written)) return undefined;
  const url = new URL(written);
  if (url.username || url.password) throw new SyntaxError('an address holds no user or password; put them under auth');
  if (/[?#]/.test(written))
    throw new SyntaxError('an address has no ?query and no #fragment; put parameters under query');
  if (isLinkLocal(url.hostname))
    throw new SyntaxError('this address is link-local (cloud metadata), which is never an API to fetch contracts from');
  return url.origin + url.pathname.replace(/\/+$/, '');
}

function isLinkLocal(host: string): boolean {
  return /^169\.254\.|^\[fe[89ab]|^\[::ffff:a9fe|^\[fd00:ec2::254\]$|^metadata\.google\.internal\.?$/.test(host);
}

/** Whether credentials sent there stay on this machine. */
export function isLoopback(url: string): boolean {
  return /^(?:localhost|.+\.localhost|127\.[\d.]+|\[::1\])$/.test(new URL(url).hostname);
}
