// Owns how tests are found and run: two projects, `quick` (npm test) and `long` (npm run test:long). It owns no test's
// own setting: the database of a test file stands in test/support, limits of time in the file that needs them.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

// What a test needs of the machine beyond Node and npm. In CI it must be there: no test may be left out.
const needs = [
  { program: process.env.CHROMIUM_PATH ?? '/usr/bin/chromium', tests: 'test/browser/' },
  { program: '/usr/sbin/nginx', tests: 'test/web/nginx.long.test.ts' },
  { program: '/usr/bin/systemd-analyze', tests: 'test/web/deploy.long.test.ts' },
  { program: '/usr/bin/prometheus', tests: 'test/web/prometheus.long.test.ts' },
  { program: '/usr/bin/pg_createcluster', tests: 'test/journeys/dump-drill.long.test.ts' },
  { program: '/usr/sbin/pgbouncer', tests: 'test/web/pgbouncer.long.test.ts' },
];
// A checkout from an archive has no release before it.
needs.push({
  program: fileURLToPath(new URL('.git', import.meta.url)),
  tests: 'test/web/rolling-upgrade.long.test.ts',
});
const missing = needs.filter(({ program }) => !existsSync(program));
for (const { program, tests } of missing) {
  if (process.env.CI) throw new Error(`there is no ${program} for ${tests}; in CI no test may be left out`);
  process.stderr.write(`Left out: ${tests}, since there is no ${program}\n`);
}
const leftOut = missing.map(({ tests }) => `<rootDir>/${tests}`);

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
      testPathIgnorePatterns: ['\\.long\\.test\\.ts$', ...leftOut],
    },
    {
      ...shared,
      ...(ready ? database : {}),
      displayName: 'long',
      testMatch: ['<rootDir>/test/**/*.long.test.ts'],
      testPathIgnorePatterns: ['/node_modules/', ...leftOut],
    },
  ],
};
