// SPDX-License-Identifier: MIT
// backends: what the interchangeable parts cost against the ones that need nothing: ingest with each
// KVS, start and memory with many students, rosters of many rows in each format.
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { CHOICES, waitFor } from '../../tools/instance.mjs';
import { eventFiles, load, scale } from './ingest.mjs';
import { bench, end, instance, rss, run, spread, timed } from './common.mjs';

const CONNECTIONS = 100;
const LOADS = 8;      // load generators at a time while many students are made
const AT_ONCE = 1250; // students of each
const EVENT_BYTES = 900;

const rate = ({ events, seconds }) => events / seconds;

/** SETs a second of redis-benchmark, pipelined, with values of the size of an event. */
async function redisSets({ site: { host, port }, password }, n) {
	const csv = await run('redis-benchmark', '-h', host, '-p', port, ...(password ? ['-a', password] : []),
		'-t', 'set', '-n', n, '-r', 100000, '-d', EVENT_BYTES, '-P', 64, '-c', 50, '--csv');
	return Number(csv.match(/"SET","([\d.]+)"/)[1]);
}

/** Ingest with each KVS and with memory in turns. */
export async function kvs() {
	const [file] = eventFiles().keystrokes;
	const each = Math.round((300_000 * scale()) / CONNECTIONS);
	const one = async (name) => {
		const d = await instance({ kvs: name });
		const ours = rate(await load(d.ports.web, CONNECTIONS, each, file, 'ack'));
		const sets = d.redis && await redisSets(d.redis, each * CONNECTIONS);
		await end(d);
		return { ours, sets };
	};
	console.log(`\nkvs: events/s through socket, journal (acks on) and four reducers with each KVS, ${CONNECTIONS} connections, as a share of memory`);
	for (const name of CHOICES.kvs.filter((n) => n !== 'memory')) {
		const shares = [], bySets = [];
		for (let i = 0; i < bench.rounds; i++) {
			const base = await one('memory');
			const { ours, sets } = await one(name);
			shares.push(ours / base.ours);
			if (sets) bySets.push(ours / sets);
		}
		console.log(`  ${name}: ${spread(shares)}${bySets.length ? `   of pipelined SETs of redis-benchmark: ${spread(bySets)}` : ''}`);
	}
}

/** An instance that has ended and left a journal with four events of each of n students. */
async function journalOf(n) {
	const [file] = eventFiles()['realistic mix'];
	const d = await instance({});
	const firsts = Array.from({ length: Math.ceil(n / AT_ONCE) }, (_, i) => i * AT_ONCE);
	const some = async () => {
		for (let first; (first = firsts.shift()) !== undefined;) await load(d.ports.web, Math.min(AT_ONCE, n - first), 4, file, 'ack', first);
	};
	await Promise.all(Array.from({ length: LOADS }, some));
	await d.lecternd.stop('SIGKILL');
	fs.rmSync(path.join(d.state, 'states.snapshot'), { force: true });
	return d;
}

/** The same students with this KVS: seconds of a start from the journal, bytes resident, seconds of a start from the snapshot. */
async function withStudents(seed, options) {
	const d = await instance({ ...options, seed });
	const replay = d.startSeconds;
	const settled = ({ dirty, hot, state_cache: bound }) => dirty === 0 && (bound === 0 || hot <= bound);
	const written = () => waitFor(() => settled(d.status().states), 'the states to be written and the cold students out', 300_000);
	await written();
	await d.lecternd.stop();
	await d.startLecternd();
	const snapshot = d.startSeconds;
	await written();
	const bytes = rss(d.lecternd.pid);
	await end(d);
	return { replay, snapshot, bytes };
}

/** Start and memory with many students, each KVS and memory in turns. */
export async function students() {
	const n = bench.smoke ? 500 : 100_000, hot = n / 10;
	const seed = await journalOf(n);
	const others = ['disk', 'redis'];
	const sets = [...others.map((kvs) => [kvs, { kvs }]), ...others.map((kvs) => [`${kvs}, ${hot} of them hot`, { kvs, kvsLines: `state_cache = ${hot}` }])];
	console.log(`\nstudents: ${n} of them, each with a few states, with each KVS as a multiple of memory: start from the journal, start from the snapshot, resident bytes`);
	for (const [what, options] of sets) {
		const replay = [], snapshot = [], bytes = [], each = [];
		for (let i = 0; i < bench.rounds; i++) {
			const base = await withStudents(seed.state, {});
			const ours = await withStudents(seed.state, options);
			replay.push(ours.replay / base.replay);
			snapshot.push(ours.snapshot / base.snapshot);
			bytes.push(ours.bytes / base.bytes);
			each.push(ours.bytes / n / 1024);
		}
		console.log(`  ${what}\n    journal: ${spread(replay)}   snapshot: ${spread(snapshot)}   memory: ${spread(bytes)}   KiB a student: ${spread(each)}`);
	}
	await end(seed);
}

/** Loads of a roster of many rows, each format and CSV in turns. */
export async function rosters() {
	const n = bench.smoke ? 500 : 100_000;
	const rows = (jid) => [['7b', 'teacher', 't1', jid, 'Teacher'],
		...Array.from({ length: n }, (_, i) => [`c${i % (n / 25)}`, 'student', `tc-testcase-u${i}`, `u${i}@school.test`, `Student ${i}`])];
	const open = async (roster) => {
		const d = await instance({ roster, students: 1 });
		d.writeRoster(rows(d.users.teacher.jid));
		return d;
	};
	const reload = (d) => timed(async () => {
		if (!JSON.parse(d.ctl('reload')).ok) throw new Error('the roster was refused');
	});
	const csv = await open('csv');
	const hash = () => timed(() => createHash('sha256').update(fs.readFileSync(csv.rosterFile)).digest());
	console.log(`\nrosters: a reload of ${n} rows in each format as a multiple of CSV; of CSV, of reading and hashing the file`);
	for (const name of CHOICES.roster) {
		const d = name === 'csv' ? csv : await open(name);
		const times = [];
		for (let i = 0; i < bench.rounds; i++) {
			const base = await (name === 'csv' ? hash() : reload(csv));
			times.push(await reload(d) / base);
		}
		console.log(`  ${name}: ${spread(times)}`);
		if (d !== csv) await end(d);
	}
	await end(csv);
}
