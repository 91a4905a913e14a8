// Owns how tests are found and run: two projects, `quick` (npm test) and `long` (npm run test:long). It owns no test's
// own setting: the database of a test file stands in test/support, limits of time in the file that needs them.
import { existsSync } from 'node:fs';

const chromium = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';
const browserTests = '<rootDir>/test/browser/';
const withoutBrowser = !existsSync(chromium);

if (withoutBrowser && process.env.CI) throw new Error(`no Chromium at ${chromium}; in CI no test may be left out`);
if (withoutBrowser) process.stderr.write(`Left out: test/browser, since there is no Chromium at ${chromium}\n`);

const shared = {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  modulePathIgnorePatterns: ['<rootDir>/.data/'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2024' }, module: { type: 'es6' }, sourceMaps: 'inline' },
    ],
  },
};

// One PostgreSQL serves the whole run; each test file makes its own database in it.
const database = {
  globalSetup: '<rootDir>/test/support/global-setup.ts',
  globalTeardown: '<rootDir>/test/support/global-teardown.ts',
};
const ready = existsSync(new URL('test/support/global-setup.ts', import.meta.url));

export default {
  testTimeout: 30_000,
  projects: [
    {
      ...shared,
      ...(ready ? database : {}),
      displayName: 'quick',
      testMatch: ['<rootDir>/test/**/*.test.ts'],
      testPathIgnorePatterns: ['\\.long\\.test\\.ts$', ...(withoutBrowser ? [browserTests] : [])],
    },
    { ...shared, ...(ready ? database : {}), displayName: 'long', testMatch: ['<rootDir>/test/**/*.long.test.ts'] },
  ],
};
