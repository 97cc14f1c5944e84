import { InvalidArgumentError } from 'commander';
import { parseDuration } from '../config/schema/duration.ts';

/** The values of options, read from text; what is wrong is said in a sentence. */

export function positiveInteger(text: string): number {
  if (!/^[1-9]\d{0,9}$/.test(text))
    throw new InvalidArgumentError(`A whole number of 1 or more was expected, not "${text}".`);
  return Number(text);
}

export function integerList(text: string): number[] {
  return text.split(',').map((item) => positiveInteger(item.trim()));
}

export function isoDate(text: string): string {
  const date = new Date(`${text}T00:00:00Z`);
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text) || Number.isNaN(date.getTime()) || date.toISOString().slice(0, 10) !== text)
    throw new InvalidArgumentError(`A date such as 2026-11-21 was expected, not "${text}".`);
  return text;
}

export function durationOption(text: string): number {
  const duration = parseDuration(text);
  if (duration === undefined)
    throw new InvalidArgumentError(`A duration such as 250ms, 30s or 5m was expected, not "${text}".`);
  return duration;
}

/** `06:00`, in the job's time zone, or a moment with its offset such as `2026-11-22T06:00:00+01:00`. */
export function finishByOption(text: string): string | Date {
  if (/^(?:[01]\d|2[0-3]):[0-5]\d$/.test(text)) return text;
  const at = new Date(text);
  if (/^\d{4}-\d{2}-\d{2}T.*(?:Z|[+-]\d{2}:?\d{2})$/.test(text) && !Number.isNaN(at.getTime())) return at;
  throw new InvalidArgumentError(
    `A time such as 06:00, or a moment such as 2026-11-22T06:00:00+01:00 was expected, not "${text}".`,
  );
}

/** `100ms`, or `80ms-160ms`. */
export function latencyOption(text: string): { min: number; max: number } {
  const [min = '', max = min] = text.split('-');
  const range = { min: durationOption(min), max: durationOption(max) };
  if (range.min > range.max) throw new InvalidArgumentError(`The shorter latency comes first: ${max}-${min}.`);
  return range;
}

/** `100/1s`. */
export function rateOption(text: string): { requests: number; per: number } {
  const [requests = '', per = ''] = text.split('/');
  return { requests: positiveInteger(requests), per: durationOption(per) };
}

/** Written into a crontab or a unit, so nothing that ends a word there. */
export function mailAddress(text: string): string {
  if (!/^[\w.+-]+(?:@[\w.-]+)?$/.test(text))
    throw new InvalidArgumentError(`A mail address such as data-team@example.com was expected, not "${text}".`);
  return text;
}

/** `contracts=contract-enrichment`: the job's former name and its new one. */
export function renameOption(text: string): { from: string; to: string } {
  const [, from, to] = /^([A-Za-z0-9._-]{1,63})=([A-Za-z0-9][A-Za-z0-9._-]{0,62})$/.exec(text) ?? [];
  if (from === undefined || to === undefined || from === to)
    throw new InvalidArgumentError(
      `Two names of jobs such as contracts=contract-enrichment were expected, not "${text}".`,
    );
  return { from, to };
}
