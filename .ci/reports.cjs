#!/usr/bin/env node
'use strict';
// What reports of GoogleTest and vitest say. Files that do not exist count as nothing.
//
//   .ci/reports.cjs count FILE...   passed, failed and skipped tests
//   .ci/reports.cjs names FILE...   the failed tests, a line each with the first line of its message
const { existsSync, readFileSync } = require('node:fs');

const firstLine = (text = '') => text.split('\n', 1)[0];

/** A record a test of GoogleTest: its outcome, its name, what it said. */
function ofNative(report) {
  return report.testsuites
    .flatMap((suite) => suite.testsuite)
    .map(({ classname, name, failures, result }) => ({
      outcome: failures !== undefined ? 'failed' : result === 'COMPLETED' ? 'passed' : 'skipped',
      name: `${classname}.${name}`,
      message: failures?.[0].failure,
    }));
}

/** The same of vitest. A file that does not even load has no tests: it is one that failed. */
function ofVitest(report) {
  return report.testResults.flatMap(({ name: path, status, message, assertionResults }) => {
    if (status === 'failed' && assertionResults.length === 0) return [{ outcome: 'failed', name: path, message }];
    return assertionResults.map(({ status: outcome, fullName, failureMessages }) => ({
      outcome: outcome === 'passed' || outcome === 'failed' ? outcome : 'skipped',
      name: `${path}: ${fullName}`,
      message: failureMessages[0],
    }));
  });
}

const [wanted, ...files] = process.argv.slice(2);
const tests = files
  .filter(existsSync)
  .map((file) => JSON.parse(readFileSync(file, 'utf8')))
  .flatMap((report) => (report.testsuites === undefined ? ofVitest(report) : ofNative(report)));
const of = (outcome) => tests.filter((test) => test.outcome === outcome);
if (wanted === 'count') {
  console.log(['passed', 'failed', 'skipped'].map((outcome) => of(outcome).length).join(' '));
} else {
  for (const { name, message } of of('failed')) {
    console.log(`${name.replace(`${process.cwd()}/`, '')}: ${firstLine(message)}`);
  }
}
