import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crontabEntries, systemdEntries } from '../../src/commands/schedule-entries.ts';

const place = { program: '/usr/bin/node /opt/nightfill.js', folder: '/srv/night jobs' };
const job = { name: 'contracts', file: "/srv/it's/100%.yaml", timezone: 'Europe/Berlin' };

test('a crontab entry quotes its paths and escapes the percent sign', () => {
  const text = crontabEntries([{ ...job, schedule: '0 2 * * *' }], place);
  assert.match(text, /^CRON_TZ=Europe\/Berlin$/m);
  assert.match(
    text,
    /^0 2 \* \* \* cd '\/srv\/night jobs' && \/usr\/bin\/node \/opt\/nightfill\.js run '\/srv\/it'\\''s\/100\\%\.yaml' --trigger cron/m,
  );
});

const calendarOf = (schedule: string): string[] =>
  [...systemdEntries([{ ...job, schedule }], place).matchAll(/^OnCalendar=(.*)$/gm)].map((match) => match[1]!);

test('cron fields become systemd calendars', () => {
  assert.deepEqual(calendarOf('0 2 * * *'), ['*-*-* 2:0:00 Europe/Berlin']);
  assert.deepEqual(calendarOf('*/15 1-5 * jan,jul *'), ['*-1,7-* 1..5:0/15:00 Europe/Berlin']);
  assert.deepEqual(calendarOf('5 4 * * mon-fri'), ['Mon..Fri *-*-* 4:5:00 Europe/Berlin']);
  assert.deepEqual(calendarOf('5 4 * * 0,6'), ['Sun,Sat *-*-* 4:5:00 Europe/Berlin']);
});

test('day and weekday together are either, as in cron', () => {
  assert.deepEqual(calendarOf('0 2 1 * 7'), ['*-*-1 2:0:00 Europe/Berlin', 'Sun *-*-* 2:0:00 Europe/Berlin']);
});
