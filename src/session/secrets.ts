import type { Job } from '../jobs/job.ts';
import type { ProxyOptions } from '../sources/api/api-options.ts';
import { Secret } from '../sources/auth/secret.ts';

/** The secret values of a job, for the filter that keeps them out of the logs. */
export function secretsOf(job: Job): string[] {
  const database = typeof job.database === 'object' ? [job.database.url.reveal()] : [];
  const ofApis = Object.values(job.apis).flatMap(({ auth, tls, proxy, tokenProxy }) => [
    ...Object.values(auth).flatMap((value: unknown) => (value instanceof Secret ? [value.reveal()] : [])),
    ...(tls?.key ? [tls.key.reveal()] : []),
    ...proxyCredentials(proxy),
    ...proxyCredentials(tokenProxy),
  ]);
  return [...ofApis, ...database];
}

/** Only the password: the address alone is no secret and is part of messages. */
function proxyCredentials(proxy: ProxyOptions | undefined): string[] {
  if (!proxy) return [];
  const { password } = new URL(proxy.url.reveal());
  return password === '' ? [] : [password, decodeURIComponent(password)];
}
