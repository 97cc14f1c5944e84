import { NightfillError } from '../../resilience/failure.ts';

/** Whether `url` may get the credentials of `origin`: same scheme, host and port, and no user name in the URL. */
export function isOwnOrigin(url: URL, origin: string): boolean {
  return url.origin === origin && url.username === '' && url.password === '';
}

/** The origin of `location` relative to `base`, for a message, because a path or query may contain a secret. */
export function originOf(location: string, base: string): string {
  return URL.canParse(location, base) ? new URL(location, base).origin : 'an address that is not a URL';
}

/** Rejects `.` and `..` as path segments, because a record's key could use them to reach another path. */
export function assertPlainPath(path: string): void {
  if (!/(?:^|[/\\])(?:\.|%2e){1,2}(?:[/\\]|$)/i.test(path)) return;
  throw new NightfillError({
    code: 'PATH_NOT_ALLOWED',
    class: 'data',
    message: `the path "${path.slice(0, 200)}" contains "." or ".." as a segment, which would lead to another address; correct the record's key`,
  });
}
