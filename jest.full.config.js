import config from './jest.config.js';

/** The slow tests, which `npm test` leaves out: `npm run test:full`. */
export default {
  ...config,
  testMatch: ['**/*.full.test.ts'],
  testPathIgnorePatterns: [],
  testTimeout: 1_800_000,
};
