// SPDX-License-Identifier: MIT
// rig: what every end-to-end test needs: an instance in a folder of its own,
// named checks that print "ok"/"not ok", and an end that always comes.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { Instance, SERVERS, waitFor } from '../../../tools/instance.mjs';

export { waitFor };

let failures = 0;
let label = ''; // of the server under test

export function ok(condition, what) {
	console.log(`${condition ? 'ok' : 'not ok'} - ${label}${what}`);
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
	await tryInstance(name, options, test);
	end();
}

/** Runs a test with each XMPP server, or with those the command line names; each line reported says with which. */
export async function withServers(name, options, test) {
	const named = process.argv.slice(2);
	for (const server of named.length > 0 ? named : Object.keys(SERVERS)) {
		label = `${server}: `;
		await tryInstance(`${name}-${server}`, { ...options, server }, test);
	}
	label = '';
	end();
}

function end() { process.exit(failures > 0 ? 1 : 0); }

async function tryInstance(name, options, test) {
	const instance = new Instance({ dir: temporary(name), build: process.env.LECTERN_BUILD, ...options });
	const before = failures;
	const limit = setTimeout(async () => {
		ok(false, 'the test did not end in time');
		await finish(instance, before);
		end();
	}, options.limitMs ?? 240_000);
	try {
		await instance.start();
		await test(instance);
	} catch (e) {
		ok(false, e.stack ?? String(e));
	}
	clearTimeout(limit);
	await finish(instance, before);
}

async function finish(instance, before) {
	try {
		await instance.stop();
	} catch (e) {
		ok(false, `stop: ${e.message}`);
	}
	const log = fs.existsSync(instance.lecternd.log) ? fs.readFileSync(instance.lecternd.log, 'utf8') : '';
	const broken = log.match(/^.*(?:ERROR: (?:Address|Leak)Sanitizer|runtime error).*$/m);
	if (broken) ok(false, `the sanitizers complained: ${broken[0]}`);
	if (failures > before) console.log(log.split('\n').slice(-60).map((l) => `# lecternd: ${l}`).join('\n'));
	instance.remove();
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
