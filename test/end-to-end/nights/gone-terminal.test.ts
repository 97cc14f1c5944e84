import assert from 'node:assert/strict';
import { mkdir, open, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { test, type TestContext } from 'node:test';
import { startNight } from '../../support/night.ts';
import { listAndLookUp, scriptedNight } from '../../support/scripted-job.ts';

test('a night whose output nobody reads any more ends as it would, with its report file', async (t) => {
  const { night } = await scriptedNight(t, { script: listAndLookUp([{ id: 'a' }, { id: 'b' }]) });
  const running = night.startProcess('run', 'job.yaml');
  running.process.stdout!.destroy();
  const ended = await running.ended;
  assert.equal(ended.exitCode, 0, ended.stderr);
  assert.doesNotMatch(ended.stderr, /EPIPE|at .*\.ts:/);
  assert.equal((await night.report()).counts.enriched, 2);
});

test(
  'output that is lost on a full disk is an error, said in a sentence',
  { skip: process.platform !== 'linux' && 'only Linux has a disk that is always full' },
  async (t) => {
    const night = await startNight(t, {});
    const full = await open('/dev/full', 'w');
    t.after(async () => full.close());
    const child = spawn(process.execPath, [night.program, '--help'], {
      env: night.environment,
      stdio: ['ignore', full.fd, 'pipe'],
    });
    const { exitCode, output } = await outcomeOf(child, t);
    assert.equal(exitCode, 1, output);
    assert.match(output, /^nightfill: standard output cannot be written: ENOSPC: .*\n$/);
  },
);

test('in a folder that is gone, help is there and other commands say what is wrong', async (t) => {
  const night = await startNight(t, {});
  const inGone = async (...commandLine: string[]): Promise<{ exitCode: number | null; output: string }> => {
    const folder = path.join(night.folder, 'gone');
    await mkdir(folder);
    // The shell is in the folder before it goes.
    const script = `read line; exec "$0" "$@"`;
    const child = spawn('sh', ['-c', script, process.execPath, night.program, ...commandLine], {
      cwd: folder,
      env: night.environment,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    await rmdir(folder);
    child.stdin.end('go\n');
    return outcomeOf(child, t);
  };
  const help = await inGone('--help');
  assert.equal(help.exitCode, 0, help.output);
  assert.match(help.output, /Usage: nightfill/);
  const run = await inGone('run', 'job.yaml');
  assert.equal(run.exitCode, 2, run.output);
  assert.match(run.output, /^nightfill: the folder in which this command was started no longer exists; go to one/m);
});

async function outcomeOf(child: ReturnType<typeof spawn>, t: TestContext) {
  t.after(() => child.kill('SIGKILL'));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text) => (output += text));
  const { promise, resolve } = Promise.withResolvers<{ exitCode: number | null; output: string }>();
  child.once('close', (exitCode) => resolve({ exitCode, output }));
  return promise;
}
