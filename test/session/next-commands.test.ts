import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { businessDateIn } from '../../src/jobs/business-date.ts';
import { nextCommands } from '../../src/session/next-commands.ts';

const job = (file: string): Parameters<typeof nextCommands>[0] => ({
  file: { path: path.resolve(file), sha256: '' },
  timezone: 'UTC',
});
const today = businessDateIn('UTC', new Date());

test('a summary advises commands that work as they are printed', () => {
  const environment = {};
  assert.deepEqual(
    nextCommands(job('jobs/night.yaml'), { businessDate: today, directory: process.cwd(), environment }),
    {
      rerun: 'nightfill rerun latest',
      run: 'nightfill run jobs/night.yaml',
    },
  );
  assert.equal(
    nextCommands(job('jobs/night.yaml'), {
      businessDate: '2020-01-31',
      limit: 5,
      directory: process.cwd(),
      environment,
    }).run,
    'nightfill run jobs/night.yaml --date 2020-01-31 --limit 5',
  );
  assert.equal(
    nextCommands(
      { ...job('jobs/night.yaml'), database: 'embedded' },
      { businessDate: today, directory: process.cwd(), environment },
    ).rerun,
    'nightfill rerun latest --job jobs/night.yaml',
  );
  assert.equal(
    nextCommands(job("/srv/Ann's jobs/night.yaml"), { businessDate: today, directory: process.cwd(), environment }).run,
    String.raw`nightfill run '/srv/Ann'\''s jobs/night.yaml'`,
  );
});

test('who called it by npx or an npm script is told to call npx again', () => {
  for (const npm_command of ['exec', 'run-script']) {
    const { rerun } = nextCommands(job('night.yaml'), {
      businessDate: today,
      directory: process.cwd(),
      environment: { npm_command },
    });
    assert.equal(rerun, 'npx nightfill rerun latest');
  }
});
