// Whether node_modules holds what package-lock.json asks for; exit code 1 if not.
import { readFileSync } from 'node:fs';

function packagesOf(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages;
  } catch {
    return null;
  }
}

const wanted = packagesOf('package-lock.json') ?? {};
const present = packagesOf('node_modules/.package-lock.json');
const missing = Object.entries(wanted).filter(
  ([name, { version, optional }]) => name !== '' && !optional && present?.[name]?.version !== version,
);
process.exitCode = present !== null && missing.length === 0 ? 0 : 1;
