import type { AnswerHeaders } from '../http/exchange.ts';

/**
 * The rest of a quota from a header: a count (`41230`), or used/total (`18/5000`) as in Salesforce's
 * `Sforce-Limit-Info: api-usage=18/5000; per-app-api-usage=17/250(appName=x)`. Undefined for anything else.
 */
export function quotaLeft(headers: AnswerHeaders, name: string): { left: number; of?: number } | undefined {
  const header = headers[name];
  const text = (Array.isArray(header) ? header.join(', ') : header)?.trim() ?? '';
  if (/^\d{1,15}$/.test(text)) return { left: Number(text) };
  const [, used, of] = /^(?:(?:.*[\s,;])?api-usage=)?(\d{1,15})\/(\d{1,15})(?:$|[\s,;])/.exec(text) ?? [];
  if (used === undefined || of === undefined || Number(of) === 0) return undefined;
  return { left: Math.max(0, Number(of) - Number(used)), of: Number(of) };
}
