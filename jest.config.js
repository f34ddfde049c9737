/** Tests run on the TypeScript sources as ES modules; swc strips the types. */
export default {
  testEnvironment: '<rootDir>/test/environment.mjs',
  globalSetup: '<rootDir>/test/global_setup.mjs',
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  testPathIgnorePatterns: ['\\.full\\.test\\.ts$'],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2023' }, module: { type: 'es6' } },
    ],
  },
  testTimeout: 120_000,
  maxWorkers: 2,
};
