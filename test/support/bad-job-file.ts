import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refusal, smallJob } from './job-file.ts';

/** A change of the small job that makes it a bad one. */
export interface BadFile {
  /** Text of the small job that is replaced; at the end of the file when absent. */
  instead?: string;
  /** The replacement; ▸ marks where the message must point. */
  write: string;
  path: string;
  says: RegExp;
}

export function testBadFiles(badFiles: Record<string, BadFile>): void {
  for (const [what, { instead, write, path, says }] of Object.entries(badFiles)) {
    test(`${what} is refused where it stands`, async () => {
      assert.ok(instead === undefined || smallJob.includes(instead), 'the small job has the text to replace');
      const marked = instead === undefined ? smallJob + write : smallJob.replace(instead, () => write);
      const before = marked.slice(0, Math.max(0, marked.indexOf('▸'))).split('\n');
      const { problems, message, code } = await refusal(marked.replace('▸', ''));
      const [problem] = problems;
      assert.equal(problems.length, 1, message);
      assert.deepEqual(
        [problem?.line, problem?.column, problem?.path],
        [before.length, before.at(-1)!.length + 1, path],
      );
      assert.match(problem?.message ?? '', says);
      assert.match(message, new RegExp(`job\\.yaml:${problem?.line}:${problem?.column}: `));
      assert.equal(code, 'JOB_FILE');
    });
  }
}
