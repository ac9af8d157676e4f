// SPDX-License-Identifier: MIT
// rig: what every end-to-end test needs: an instance in a folder of its own,
// named checks that print "ok"/"not ok", and an end that always comes.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { Instance, SERVERS, waitFor } from '../../../tools/instance.mjs';
import { Schools } from '../../../tools/schools.mjs';

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
	await tryWhole(new Instance(withFolder(name, options)), options, test);
	end();
}

/** Runs a test with an instance for each set of options; `sets` is [[label, options]], and each line reported begins with the label. */
export async function withEach(name, sets, test) {
	for (const [i, [what, options]] of sets.entries()) {
		label = `${what}: `;
		await tryWhole(new Instance(withFolder(`${name}-${i}`, options)), options, test);
	}
	label = '';
	end();
}

/** Runs a test with each XMPP server, or with those the command line names. */
export async function withServers(name, options, test) {
	const named = process.argv.slice(2);
	const servers = named.length > 0 ? named : Object.keys(SERVERS);
	await withEach(name, servers.map((server) => [server, { ...options, server }]), test);
}

/** Runs a test with schools of several sets of servers. */
export async function withSchools(name, options, sets, test) {
	for (const servers of sets) {
		label = `${servers.join(', ')}: `;
		await tryWhole(new Schools(withFolder(name, { ...options, servers })), options, test);
	}
	label = '';
	end();
}

const withFolder = (name, options) => ({ dir: temporary(name), build: process.env.LECTERN_BUILD, ...options });

/** The end of the program; of tests without an instance, too. */
export function end() { process.exit(failures > 0 ? 1 : 0); }

/** whole: an instance or schools. */
async function tryWhole(whole, options, test) {
	const before = failures;
	const limit = setTimeout(async () => {
		ok(false, 'the test did not end in time');
		await finish(whole, before);
		end();
	}, options.limitMs ?? 240_000);
	try {
		await whole.start();
		await test(whole);
	} catch (e) {
		ok(false, e.stack ?? String(e));
	}
	clearTimeout(limit);
	await finish(whole, before);
}

async function finish(whole, before) {
	try {
		await whole.stop();
	} catch (e) {
		ok(false, `stop: ${e.message}`);
	}
	for (const { lecternd, server } of whole.all ?? [whole]) {
		const log = fs.existsSync(lecternd.log) ? fs.readFileSync(lecternd.log, 'utf8') : '';
		const broken = log.match(/^.*(?:ERROR: (?:Address|Leak)Sanitizer|runtime error).*$/m);
		if (broken) ok(false, `the sanitizers complained: ${broken[0]}`);
		if (failures > before) console.log(log.split('\n').slice(-60).map((l) => `# lecternd: ${l}`).join('\n'));
		if (failures > before && whole.all) console.log(`# ${server?.tail().replaceAll('\n', '\n# ')}`);
	}
	whole.remove();
}

/** Lines of JSON as lecternctl prints them. */
export const jsonLines = (text) => text.split('\n').filter(Boolean).map((l) => JSON.parse(l));

/** States by key as the store holds them: their JSON. */
export function storedStates(instance) {
	const lines = instance.ctl('kvs', 'dump').split('\n');
	const states = {};
	for (let i = 0; i + 1 < lines.length; i += 2) states[lines[i]] = lines[i + 1];
	return states;
}

/** Waits until the store has every state of the daemon's, byte for byte. */
export async function storedAll(instance) {
	await waitFor(() => {
		const stored = storedStates(instance);
		const live = instance.ctl('states').split('\n').filter(Boolean);
		return live.length === Object.keys(stored).length && live.every((l) => l.endsWith(`"value":${stored[JSON.parse(l).key]}}`));
	}, 'the store to have all states');
}

/** States by key, from the daemon or from a replay of its journal. */
export function liveStates(instance) {
	return Object.fromEntries(jsonLines(instance.ctl('states')).map((s) => [s.key, s]));
}
export function replayedStates(instance) {
	return Object.fromEntries(jsonLines(instance.ctl('journal', 'replay')).map((s) => [s.key, s]));
}
