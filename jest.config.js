const transform = {
  '^.+\\.ts$': ['ts-jest', { tsconfig: 'test/tsconfig.json' }],
};
/** Unit tests run in parallel and touch nothing; end-to-end tests own the machine and run one after another. */
module.exports = {
  projects: [
    {
      displayName: 'unit',
      testMatch: ['<rootDir>/test/**/*.test.ts'],
      testPathIgnorePatterns: ['/test/e2e/'],
      transform,
    },
    { displayName: 'e2e', testMatch: ['<rootDir>/test/e2e/*.test.ts'], transform },
    { displayName: 'long', testMatch: ['<rootDir>/test/e2e/long/*.test.ts'], transform },
  ],
};
