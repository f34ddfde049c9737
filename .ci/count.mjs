// Prints "PASSED FAILED" of a JSON report of jest or of the parity runner. A step that ended badly without saying what
// failed, or that counted nothing, is one failure.
//   node .ci/count.mjs REPORT STATUS
import { readFileSync } from 'node:fs';

const [path, status] = process.argv.slice(2);
const { passed, failed } = counts(read(path));
const unexplained = failed === 0 && (status !== '0' || passed === 0);
console.log(`${passed} ${failed + (unexplained ? 1 : 0)}`);

function read(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return null;
  }
}

function counts(report) {
  if (Array.isArray(report)) {
    const passed = report.filter((result) => result.passed).length;
    return { passed, failed: report.length - passed };
  }
  if (report === null) return { passed: 0, failed: 0 };
  // A suite that did not even start holds no failed test.
  return { passed: report.numPassedTests, failed: report.numFailedTests + report.numRuntimeErrorTestSuites };
}
