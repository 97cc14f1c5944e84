import assert from 'node:assert/strict';
import { test } from 'node:test';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { crontabEntries, systemdEntries } from '../../src/commands/schedule-entries.ts';

const place = { program: ['/usr/bin/node', '/opt/nightfill.js'], folder: '/srv/night jobs' };
const job = { name: 'contracts', file: "/srv/it's/100%.yaml", timezone: 'Europe/Berlin', catchUp: 'last' as const };

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

test('systemd gets its own quotes, and its percent and dollar signs doubled', () => {
  const odd = { program: ['/opt/node 24/node', '/opt/nightfill.js'], folder: '/srv/100% night' };
  const file = '/srv/it\'s "$HOME"/100%.yaml';
  const text = systemdEntries([{ ...job, file, catchUp: 'none', schedule: '0 2 * * *' }], odd);
  assert.match(text, /^WorkingDirectory=\/srv\/100%% night$/m);
  assert.match(
    text,
    /^ExecStart="\/opt\/node 24\/node" \/opt\/nightfill\.js run "\/srv\/it's \\"\$\$HOME\\"\/100%%\.yaml" --trigger cron/m,
  );
  assert.match(text, /^Persistent=false$/m);
});

const analyzes = spawnSync('systemd-analyze', ['--version']).status === 0;

test(
  'systemd itself takes the calendars and the units',
  { skip: !analyzes && 'no systemd-analyze here' },
  async (t) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'nightfill units 100%-'));
    t.after(async () => rm(folder, { recursive: true }));
    const file = path.join(folder, 'it\'s "$HOME".yaml');
    const entry = { ...job, file, schedule: '*/15 1-5 1,15 jan-jun mon' };
    const text = systemdEntries([entry], { program: [process.execPath, file], folder });
    const files = text.split(/^# \/etc\/systemd\/system\//m).slice(1);
    const names = await Promise.all(
      files.map(async (unit) => {
        const [name = '', ...lines] = unit.split('\n');
        await writeFile(path.join(folder, name), lines.join('\n'));
        return path.join(folder, name);
      }),
    );
    const verified = spawnSync('systemd-analyze', ['verify', ...names], { encoding: 'utf8' });
    assert.doesNotMatch(verified.stderr, /nightfill-contracts.*:\d+:/, verified.stderr);
    const zones = [
      '0 2 * * *',
      '*/15 1-5 * jan,jul *',
      '5 4 * * mon-fri',
      '0 2 1 * 7',
      '30 2 29 2 *',
      '0-30/10 22,23 * * 0,6',
    ];
    for (const calendar of zones.flatMap(calendarOf)) {
      const { status, stderr } = spawnSync('systemd-analyze', ['calendar', calendar], { encoding: 'utf8' });
      assert.equal(status, 0, `${calendar}: ${stderr}`);
    }
  },
);
