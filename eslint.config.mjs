import js from '@eslint/js';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['bin/', 'node_modules/', 'jest.config.js'] },
  js.configs.recommended,
  ...tseslint.configs.recommended,
  {
    rules: {
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      eqeqeq: 'error',
      'no-console': 'error',
    },
  },
  {
    // The spec and the plan are pure: they must load and compute without the engine, a network or a clock.
    files: ['components/spec/**/*.ts', 'components/plan/**/*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            { group: ['@pulumi/*'], message: 'components/spec and components/plan do not import the engine.' },
          ],
        },
      ],
    },
  },
  { files: ['scripts/**/*.ts', 'test/**/*.ts', 'components/agent/**/*.ts'], rules: { 'no-console': 'off' } },
);
