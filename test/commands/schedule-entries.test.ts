import assert from 'node:assert/strict';
import { test } from 'node:test';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { crontabEntries, systemdEntries } from '../../src/commands/schedule-entries.ts';

const place = {
  program: ['/usr/bin/node', '/opt/nightfill.js'],
  folder: '/srv/night jobs',
  environmentFile: 'secrets.env',
  user: 'etl',
  now: new Date('2026-11-21T12:00:00Z'),
};
const job = { name: 'contracts', file: "/srv/it's/100%.yaml", timezone: 'Europe/Berlin', catchUp: 'last' as const };

test('a crontab entry quotes its paths and escapes the percent sign', () => {
  const text = crontabEntries([{ ...job, schedule: '0 2 * * *' }], place);
  assert.match(text, /^CRON_TZ=Europe\/Berlin$/m);
  assert.match(
    text,
    /^0 2 \* \* \* cd '\/srv\/night jobs' && set -a && \. \.\/secrets\.env && set \+a && \/usr\/bin\/node \/opt\/nightfill\.js run '\/srv\/it'\\''s\/100\\%\.yaml' --trigger cron/m,
  );
});

test('a crontab entry gives the run its variables, and prints what went wrong for cron to mail', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), "nightfill cron it's-"));
  t.after(async () => rm(folder, { recursive: true }));
  await writeFile(path.join(folder, 'secrets.env'), "CRM_TOKEN='hush hush'\n");
  const program = path.join(folder, 'program.js');
  const entry = crontabEntries([{ ...job, schedule: '0 4 * * *' }], {
    ...place,
    folder,
    program: [process.execPath, program],
  });
  const line = entry.split('\n').find((text) => text.startsWith('0 4'))!;
  const cron = async (code: number) => {
    await writeFile(
      program,
      `console.log(process.env.CRM_TOKEN, ...process.argv.slice(2)); process.exitCode = ${code};`,
    );
    return spawnSync('sh', ['-c', line.slice('0 4 * * * '.length).replaceAll('\\%', '%')], { encoding: 'utf8' });
  };
  const good = await cron(0);
  assert.deepEqual([good.status, good.stdout, good.stderr], [0, '', ''], 'nothing is mailed after a good night');
  const bad = await cron(4);
  assert.match(bad.stdout, /^nightfill exited with 4\nhush hush run .*100%\.yaml --trigger cron/);
});

test('an entry says when clocks are changed over it, and what to put into its file of variables', () => {
  const noted = (schedule: string, more: object = {}) =>
    crontabEntries([{ ...job, schedule, ...more }], place)
      .split('\n')
      .filter((line) => /^# .* .*/.test(line));
  assert.equal(noted('0 4 * * *').length, 1);
  assert.match(noted('0 4 * * *')[0]!, /secrets\.env .*DATABASE_URL/);
  assert.doesNotMatch(noted('0 4 * * *', { database: 'embedded' })[0]!, /DATABASE_URL/);
  const [, spring, autumn] = noted('30 2 * * *');
  assert.match(spring!, /2027-03-28 the clock skips 02:30/);
  assert.match(autumn!, /2027-10-31 02:30 comes twice/);
});

test('a unit has a user, its variables, and another unit that tells of a failure', () => {
  const text = systemdEntries([{ ...job, schedule: '0 4 * * *' }], { ...place, mailTo: 'data-team@example.com' });
  for (const line of [
    'User=etl',
    'EnvironmentFile=/srv/night jobs/secrets.env',
    'OnFailure=nightfill-failed@%N.service',
    'KillMode=mixed',
  ])
    assert.ok(text.split('\n').includes(line), line);
  assert.match(text, /nightfill-failed@\.service\n(?:.*\n)*.*mail .* data-team@example\.com'$/m);
});

const calendarOf = (schedule: string): string[] =>
  [...systemdEntries([{ ...job, schedule }], place).matchAll(/^OnCalendar=(.*)$/gm)].map((match) => match[1]!);

test('cron fields become systemd calendars', () => {
  assert.deepEqual(calendarOf('0 4 * * *'), ['*-*-* 4:0:00 Europe/Berlin']);
  assert.deepEqual(calendarOf('*/15 1-5 * jan,jul *'), ['*-1,7-* 1..5:0/15:00 Europe/Berlin']);
  assert.deepEqual(calendarOf('5 4 * * mon-fri'), ['Mon..Fri *-*-* 4:5:00 Europe/Berlin']);
  assert.deepEqual(calendarOf('5 4 * * 0,6'), ['Sun,Sat *-*-* 4:5:00 Europe/Berlin']);
});

test('day and weekday together are either, as in cron', () => {
  assert.deepEqual(calendarOf('0 4 1 * 7'), ['*-*-1 4:0:00 Europe/Berlin', 'Sun *-*-* 4:0:00 Europe/Berlin']);
});

test('the night whose time the clock skips in spring starts when the clock goes on', () => {
  assert.deepEqual(calendarOf('30 2 * * *'), ['*-*-* 2:30:00 Europe/Berlin', 'Sun *-3-25..31 03:00:00 Europe/Berlin']);
  const newYork = systemdEntries([{ ...job, timezone: 'America/New_York', schedule: '0 2 * * *' }], place);
  assert.match(newYork, /^OnCalendar=Sun \*-3-8\.\.14 03:00:00 America\/New_York$/m);
  // Not on that day anyway, or not only once.
  assert.equal(calendarOf('30 2 * * mon-sat').length, 1);
  assert.equal(calendarOf('*/15 * * * *').length, 1);
});

test('systemd gets its own quotes, and its percent and dollar signs doubled', () => {
  const odd = { ...place, program: ['/opt/node 24/node', '/opt/nightfill.js'], folder: '/srv/100% night' };
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
    const text = systemdEntries([entry], { ...place, user: 'root', program: [process.execPath, file], folder });
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
    const spring = spawnSync(
      'systemd-analyze',
      ['calendar', '--base-time=2027-03-27 12:00:00 UTC', '--iterations=2', ...calendarOf('30 2 * * *')],
      { encoding: 'utf8', env: { ...process.env, TZ: 'UTC' } },
    );
    assert.match(spring.stdout, /Sun 2027-03-28 01:00:00 UTC/, 'the night of the spring day has a start');
    for (const calendar of zones.flatMap(calendarOf)) {
      const { status, stderr } = spawnSync('systemd-analyze', ['calendar', calendar], { encoding: 'utf8' });
      assert.equal(status, 0, `${calendar}: ${stderr}`);
    }
  },
);
