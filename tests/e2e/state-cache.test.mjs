// SPDX-License-Identifier: MIT
// state-cache: a daemon that keeps the states of a few students in memory only. It is
// killed again and again, and its store is emptied, put back, cut and stopped; the
// states always equal a replay of the journal, byte for byte.
import * as fs from 'node:fs';
import { ok, same, waitFor, withEach } from './lib/rig.mjs';
import { Student, keystroke } from '../../tools/class.mjs';
import { Reader } from './lib/reader.mjs';

const STUDENTS = 24;
const CACHE = 5;
const KILLS = Math.ceil(Number(process.env.LECTERN_KILLS ?? 200) / 10);

/** The student comes, does so many things and leaves when all is acknowledged. */
async function visit(instance, student, events) {
	student.url = instance.events;
	student.stopped = false;
	student.connect();
	for (let i = 0; i < events; i++) student.send(keystroke('a', student.doc, Date.now()));
	await waitFor(() => student.acked === student.seq, `the acks of ${student.userId}`, 60_000);
	student.stop();
	await waitFor(() => student.socket.readyState === 3, 'the end of the connection');
}

const cache = (instance) => instance.status().states;
/** Everything is stored and who may go is gone. */
const settled = (instance) => waitFor(() => {
	const s = cache(instance);
	return s.hot <= CACHE && s.waiting === 0 && s.dirty === 0;
}, 'the states to go out', 60_000);

function verify(instance, what) {
	ok(/ equal\n$/.test(instance.ctl('journal', 'replay', '--verify')), `${what}: replay --verify says equal`);
	const lines = (text) => text.split('\n').filter(Boolean);
	same(lines(instance.ctl('states')), lines(instance.ctl('journal', 'replay')), `${what}: all states are those of a replay, byte for byte`);
}

const everybody = async (instance, students) => {
	for (const s of students) await visit(instance, s, 2);
};

/** Killed while students come and go. */
async function kills(instance, students) {
	let rebuilt = 0;
	for (let i = 0; i < KILLS; i++) {
		const some = students.filter(() => Math.random() < 0.3);
		const visits = some.map((s) => visit(instance, s, 1 + Math.floor(Math.random() * 4)));
		await new Promise((r) => setTimeout(r, Math.random() * 1500));
		rebuilt += cache(instance).rebuilt;
		await instance.lecternd.stop('SIGKILL');
		await instance.startLecternd();
		await Promise.all(visits);
	}
	await settled(instance);
	verify(instance, `${KILLS} kills`);
	console.log(`# ${rebuilt} students folded anew meanwhile`);
}

/** What is in the store is gone, or not what was written. */
async function spoiled(instance, students, what, spoil) {
	await settled(instance);
	await instance.lecternd.stop('SIGTERM');
	await spoil();
	await instance.startLecternd();
	ok(cache(instance).cold > 0, `${what}: students are away at the start`);
	await everybody(instance, students);
	verify(instance, what);
	ok(cache(instance).rebuilt > 0, `${what}: and it was noticed`);
}

const STORES = {
	disk: {
		empty: (i) => { for (const f of fs.readdirSync(i.state)) if (f.startsWith('states.db')) fs.rmSync(i.at(f)); },
		save: (i) => { for (const f of fs.readdirSync(i.state)) if (f.startsWith('states.db')) fs.copyFileSync(i.at(f), i.at(`old-${f}`)); },
		putBack(i) {
			this.empty(i);
			for (const f of fs.readdirSync(i.state)) if (f.startsWith('old-states.db')) fs.copyFileSync(i.at(f), i.at(f.slice(4)));
		},
	},
	redis: {
		keys: async (i, pattern) => (await i.redis.ask('KEYS', pattern)).split('\r\n').filter((l) => l && !/^[*$+]/.test(l)),
		async value(i, key) { return (await i.redis.ask('GET', key)).split('\r\n')[1]; },
		empty: (i) => i.redis.ask('FLUSHALL'),
		async save(i) { this.old = await this.everything(i); },
		async everything(i) {
			const all = new Map();
			for (const k of await this.keys(i, 'Internal,*')) all.set(k, await this.value(i, k));
			return all;
		},
		async putBack(i) { for (const [k, v] of this.old) await i.redis.ask('SET', k, v); },
		/** Values of two students under each other's keys. */
		async swap(i) {
			const all = [...await this.everything(i)].filter(([k]) => k.includes('activity.event_count'));
			for (let n = 0; n < all.length; n++) await i.redis.ask('SET', all[n][0], all[(n + 1) % all.length][1]);
		},
		async cut(i) { for (const [k, v] of await this.everything(i)) await i.redis.ask('SET', k, v.slice(0, -3)); },
		async cutIndexes(i) { for (const k of await this.keys(i, 'lectern:student:*')) await i.redis.ask('SETRANGE', k, '20', 'xyz'); },
	},
};

/** A class whose students are mostly away can be read, and subscribed to. */
async function reading(instance) {
	await settled(instance);
	ok(cache(instance).cold > STUDENTS / 2, 'most students are away');
	const node = `class/${instance.class}/activity.event_count`, service = instance.components.activity;
	const reader = await new Reader(instance, instance.users.teacher, 'desk').start();
	const items = await reader.retrieve(service, node);
	same(Object.keys(items).length, STUDENTS, 'a read waits for those who are away');
	await settled(instance);
	same((await reader.discoItems(service, node)).length, STUDENTS, 'and so does a list of the items');
	await settled(instance);
	await reader.subscribe(service, node);
	await waitFor(() => instance.students.every((s) => reader.item(node, s.pseudonym)), 'the items of everybody');
	const sorted = (o) => Object.entries(o).sort(([a], [b]) => (a < b ? -1 : 1));
	same(sorted(Object.fromEntries(instance.students.map((s) => [s.pseudonym, reader.item(node, s.pseudonym)]))), sorted(items), 'a subscriber gets the same items');
	same(cache(instance).cold, 0, 'who is subscribed to stays in memory');
	await reader.stop();
}

/** Nobody but those who are away notices that the store does not answer. */
async function away(instance, students) {
	await settled(instance);
	process.kill(instance.redis.pid, 'SIGSTOP');
	const before = cache(instance).waiting;
	for (const s of students) await visit(instance, s, 1);
	ok(before === 0 && cache(instance).waiting > 0, 'with the store stopped everything is acknowledged, and some states wait');
	process.kill(instance.redis.pid, 'SIGCONT');
	await waitFor(() => cache(instance).waiting === 0, 'those who waited', 60_000);
	verify(instance, 'the store stopped for a while');
}

const sets = ['disk', 'redis'].map((kvs) => [kvs, {
	kvs, students: STUDENTS, limitMs: 900_000, kvsLines: `  state_cache = ${CACHE}`, config: 'journal { snapshot_records = 200 }', logLevel: 'notice',
	server: kvs === 'disk' ? 'prosody' : 'none',
}]);

await withEach('state-cache', sets, async (instance) => {
	const store = STORES[instance.kvs];
	const students = instance.students.map((s) => new Student(instance.events, s.user_id));
	await everybody(instance, students);
	await settled(instance);
	verify(instance, 'a class');
	same(cache(instance).rebuilt, 0, 'what came back came from the store');
	await kills(instance, students);
	await store.save(instance);
	await everybody(instance, students);
	await spoiled(instance, students, 'emptied', () => store.empty(instance));
	if (store.swap) {
		await spoiled(instance, students, 'values swapped', () => store.swap(instance));
		await spoiled(instance, students, 'values cut', () => store.cut(instance));
		await spoiled(instance, students, 'indexes damaged', () => store.cutIndexes(instance));
		await away(instance, students);
	}
	await spoiled(instance, students, 'put back to an earlier time', () => store.putBack(instance));
	if (instance.published) await reading(instance);
});
