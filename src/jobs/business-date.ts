import { Cron } from 'croner';

/** The date at a moment in a time zone, `YYYY-MM-DD`. */
export function businessDateIn(timezone: string, now: Date): string {
  return new Intl.DateTimeFormat('en-CA', { timeZone: timezone, dateStyle: 'short' }).format(now);
}

/** The next moment a clock in the time zone shows `HH:MM`, right also on the days the clocks change. */
export function nextTimeOfDay(finishBy: string, { timezone, now }: { timezone: string; now: Date }): Date {
  const [hour, minute] = finishBy.split(':').map(Number);
  return new Cron(`${minute} ${hour} * * *`, { timezone, paused: true }).nextRun(now)!;
}

/** The local time at a moment in a time zone, `HH:MM`. */
export const timeOfDay = (at: Date, timezone: string): string =>
  new Intl.DateTimeFormat('en-GB', { timeZone: timezone, hour: '2-digit', minute: '2-digit' }).format(at);
