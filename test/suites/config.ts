import { runTestFiles } from '../support/test-files.ts';

runTestFiles(['config/**/*.test.ts'], { concurrency: 1 });
