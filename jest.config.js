const transform = {
  '^.+\\.ts$': ['ts-jest', { tsconfig: 'test/tsconfig.json' }],
};
/** Ends a test that hangs. It judges nothing: on a busy machine a command line takes many seconds to start. */
const testTimeout = 300_000;
/** Unit tests run in parallel and touch nothing; end-to-end tests own the machine and run one after another. */
module.exports = {
  testTimeout,
  projects: [
    {
      displayName: 'unit',
      testMatch: ['<rootDir>/test/**/*.test.ts'],
      testPathIgnorePatterns: ['/test/e2e/'],
      transform,
    },
    { displayName: 'e2e', testMatch: ['<rootDir>/test/e2e/*.test.ts'], transform },
    { displayName: 'clusters', testMatch: ['<rootDir>/test/e2e/clusters/*.test.ts'], transform },
    { displayName: 'long', testMatch: ['<rootDir>/test/e2e/long/*.test.ts'], transform },
  ],
};
