// SPDX-License-Identifier: MIT
// rig: what every end-to-end test needs: an instance in a folder of its own,
// named checks that print "ok"/"not ok", and an end that always comes.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { Instance, waitFor } from '../../../tools/instance.mjs';

export { waitFor };

let failures = 0;

export function ok(condition, what) {
	console.log(`${condition ? 'ok' : 'not ok'} - ${what}`);
	if (!condition) failures++;
	return condition;
}

export function same(got, want, what) {
	const equal = JSON.stringify(got) === JSON.stringify(want);
	ok(equal, what);
	if (!equal) console.log(`# got  ${JSON.stringify(got)?.slice(0, 2000)}\n# want ${JSON.stringify(want)?.slice(0, 2000)}`);
	return equal;
}

export function temporary(name) {
	return fs.mkdtempSync(path.join(os.tmpdir(), `lectern-${name}-`));
}

/** Runs a test with an instance; prints the daemon's log when something failed. */
export async function withInstance(name, options, test) {
	const dir = temporary(name);
	const instance = new Instance({ dir, build: process.env.LECTERN_BUILD, ...options });
	const limit = setTimeout(() => {
		console.log('not ok - the test did not end in time');
		failures++;
		finish(instance);
	}, options.limitMs ?? 240_000);
	try {
		await instance.start();
		await test(instance);
	} catch (e) {
		ok(false, e.stack ?? String(e));
	}
	clearTimeout(limit);
	await finish(instance);
}

async function finish(instance) {
	try {
		await instance.stop();
	} catch (e) {
		ok(false, `stop: ${e.message}`);
	}
	const log = fs.existsSync(instance.lecternd.log) ? fs.readFileSync(instance.lecternd.log, 'utf8') : '';
	const broken = log.match(/^.*(?:ERROR: (?:Address|Leak)Sanitizer|runtime error).*$/m);
	if (broken) ok(false, `the sanitizers complained: ${broken[0]}`);
	if (failures > 0) console.log(log.split('\n').slice(-60).map((l) => `# lecternd: ${l}`).join('\n'));
	instance.remove();
	process.exit(failures > 0 ? 1 : 0);
}

/** Lines of JSON as lecternctl prints them. */
export const jsonLines = (text) => text.split('\n').filter(Boolean).map((l) => JSON.parse(l));

/** States by key, from the daemon or from a replay of its journal. */
export function liveStates(instance) {
	return Object.fromEntries(jsonLines(instance.ctl('states')).map((s) => [s.key, s]));
}
export function replayedStates(instance) {
	return Object.fromEntries(jsonLines(instance.ctl('journal', 'replay')).map((s) => [s.key, s]));
}
