import { spawnSync } from 'node:child_process';

/** Test files that run together in one process, those that need one of their own, and the rest. */
const together = [
  'test/suites/*.ts',
  'test/**/*.alone.test.ts',
  'test/*.test.ts',
  'test/!(end-to-end|resilience|config|ledger|report|jobs)/**/*.test.ts',
];

/*
 * `npm test` and `npm run test:long`: the test runner of Node.js with what all tests need. What is given after `--` goes
 * to it: options, such as --watch or --test-name-pattern=…, and files or patterns in place of all.
 */
const given = process.argv.slice(2);
const options = given.filter((argument) => argument.startsWith('-') && argument !== '--long');
const files = given.filter((argument) => !argument.startsWith('-'));

// What a change reaches, and which tests have a name, the runner finds out file by file.
const byFile = options.some((option) => /^--(?:watch|test-name-pattern|test-skip-pattern|test-only)\b/.test(option));

const { status } = spawnSync(
  process.execPath,
  [
    '--test',
    '--test-concurrency=3',
    '--test-global-setup=test/support/global-setup.ts',
    ...options,
    ...(files.length > 0 ? files : byFile ? ['test/**/*.test.ts'] : together),
  ],
  { stdio: 'inherit', env: { ...process.env, ...(given.includes('--long') && { NIGHTFILL_TEST_LONG: '1' }) } },
);
process.exitCode = status ?? 1;
