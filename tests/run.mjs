// SPDX-License-Identifier: MIT
// run: runs all tests, or those whose name holds one of the words given. A test
// is a program: it passes when it ends with 0. Programs that report their own
// cases (cmocka, "ok"/"not ok" lines) are counted by cases. Logs of failed ones
// stay in build-asan/test-logs. Nothing is ever skipped.
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const ASAN = path.join(ROOT, 'build-asan');
const FUZZ = path.join(ROOT, 'build-fuzz');
const LOGS = path.join(ASAN, 'test-logs');
const UNIT_JOBS = 2;
const FUZZ_RUNS = 20000; // inputs per target in the smoke run

const list = (dir, pattern) => fs.readdirSync(path.join(ROOT, dir)).filter((f) => pattern.test(f)).sort();

const checks = list('tests/check', /\.sh$/).map((f) => ({ name: `check/${f.replace('.sh', '')}`, command: ['bash', `tests/check/${f}`] }));
const units = list('tests/unit', /^test_.*\.c$/).map((f) => {
	const name = f.replace('.c', '');
	return { name: `unit/${name}`, command: [path.join(ASAN, name)] };
});
const fuzzers = list('tests/fuzz', /^fuzz_.*\.c$/).map((f) => {
	const target = f.replace('fuzz_', '').replace('.c', '');
	const dict = `tests/fuzz/${target}.dict`;
	return {
		name: `fuzz/${target}`,
		command: [path.join(FUZZ, `fuzz_${target}`), `-runs=${FUZZ_RUNS}`, '-max_total_time=20', '-seed=1', '-timeout=25',
			`-artifact_prefix=${LOGS}/`, ...(fs.existsSync(path.join(ROOT, dict)) ? [`-dict=${dict}`] : []), `tests/fuzz/corpus/${target}`],
		// New inputs found in a smoke run stay out of the tree.
		copyCorpus: true,
	};
});
const e2e = list('tests/e2e', /\.test\.mjs$/).map((f) => ({ name: `e2e/${f.replace('.test.mjs', '')}`, command: ['node', `tests/e2e/${f}`] }));

const words = process.argv.slice(2);
const wanted = (t) => words.length === 0 || words.some((w) => t.name.includes(w));

let passed = 0, failed = 0;
const children = new Set();

for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => {
	for (const c of children) c.kill('SIGTERM');
	process.exit(130);
});

/** Cases a program reported: [passed, failed], or null when it reports none. */
function countCases(text) {
	const n = (re) => (text.match(re) ?? []).length;
	const ok = n(/^\[       OK \]/gm) + n(/^ok\b/gm);
	const bad = n(/^\[  FAILED  \] \S+$/gm) ? n(/^\[   ?(?:FAILED|LINE) /gm) || 1 : 0;
	const notOk = n(/^not ok\b/gm);
	return ok + bad + notOk === 0 ? null : [ok, Math.max(bad, notOk)];
}

function corpusCopy(t) {
	if (!t.copyCorpus) return t.command;
	const from = t.command.at(-1);
	const to = path.join(FUZZ, 'smoke', path.basename(from));
	fs.mkdirSync(to, { recursive: true });
	return [...t.command.slice(0, -1), to, from];
}

async function run(t) {
	const log = path.join(LOGS, `${t.name.replaceAll('/', '-')}.log`);
	const out = fs.openSync(log, 'w');
	const [command, ...args] = corpusCopy(t);
	const child = spawn(command, args, {
		cwd: ROOT, stdio: ['ignore', out, out],
		env: {
			...process.env, LECTERN_BUILD: ASAN, CMOCKA_MESSAGE_OUTPUT: 'stdout',
			ASAN_OPTIONS: 'abort_on_error=0:detect_leaks=1', UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
		},
	});
	children.add(child);
	const status = await new Promise((r) => {
		child.on('error', (e) => { fs.writeSync(out, `${e.message}\n`); r(127); });
		child.on('exit', (code, signal) => r(signal ?? code));
	});
	children.delete(child);
	fs.closeSync(out);
	report(t, log, status);
}

function report(t, log, status) {
	const text = fs.readFileSync(log, 'utf8');
	let [ok, bad] = countCases(text) ?? [status === 0 ? 1 : 0, 0];
	if (status !== 0 && bad === 0) bad = 1;
	if (status === 0 && bad > 0) status = 'reported failures';
	passed += ok;
	failed += bad;
	console.log(`${status === 0 ? 'ok  ' : 'FAIL'} ${t.name} (${ok} passed${bad ? `, ${bad} failed, ended with ${status}` : ''})`);
	if (status === 0) fs.rmSync(log);
	else console.log(text.split('\n').slice(-60).map((l) => `     ${l}`).join('\n') + `\n     whole log: ${path.relative(ROOT, log)}`);
}

async function runAll(tests, jobs) {
	const queue = tests.filter(wanted);
	await Promise.all(Array.from({ length: jobs }, async () => {
		for (let t; (t = queue.shift());) await run(t);
	}));
}

fs.mkdirSync(LOGS, { recursive: true });
await runAll([...checks, ...units, ...fuzzers], UNIT_JOBS);
await runAll(e2e, 1);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
