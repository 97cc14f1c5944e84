import { NightfillError } from '../../resilience/failure.ts';

/** Whether `url` may be asked with the credentials of `origin`: same scheme, host and port, and no user name in it. */
export function isOwnOrigin(url: URL, origin: string): boolean {
  return url.origin === origin && url.username === '' && url.password === '';
}

/** The origin of `location` as read from `base`, for a message; a path or query could hold a secret. */
export function originOf(location: string, base: string): string {
  return URL.canParse(location, base) ? new URL(location, base).origin : 'an address that is no URL';
}

/** Refuses `.` and `..` as path segments, which a record's key could otherwise smuggle into another path. */
export function assertPlainPath(path: string): void {
  if (!/(?:^|[/\\])(?:\.|%2e){1,2}(?:[/\\]|$)/i.test(path)) return;
  throw new NightfillError({
    code: 'PATH_NOT_ALLOWED',
    class: 'data',
    message: `the path "${path.slice(0, 200)}" holds "." or ".." as a segment, which would lead to another address; mend the record's key`,
  });
}
