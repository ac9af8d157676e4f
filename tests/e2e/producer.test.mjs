// SPDX-License-Identifier: MIT
// producer: reducers in processes of their own, one of ours (lecternd --component
// writing) and one in Python (examples/count_words.py), killed at random again and
// again together with lecternd and the XMPP server, under load. In the end every
// event is in every state exactly once, and the teacher's client has them all.
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Reader, xml } from './lib/reader.mjs';
import { ok, same, jsonLines, liveStates, waitFor, withServers } from './lib/rig.mjs';
import { ROOT } from '../../tools/instance.mjs';
import { Service } from '../../tools/service.mjs';
import { Student } from '../../tools/class.mjs';

const KILLS = Number(process.env.LECTERN_KILLS ?? 24);
const STUDENTS = 6;
const SERVICE = 'lectern.school.test', WRITING = 'writing.school.test', COUNTS = 'counts.school.test';
const PUBSUB = 'http://jabber.org/protocol/pubsub';

const options = {
	students: STUDENTS, limitMs: 900_000, logLevel: 'notice',
	components: { '*': SERVICE, writing: WRITING },
	lines: { writing: '  process = "own"\n' },
	producers: [COUNTS],
	config: `journal { segment_size = 256k snapshot_records = 3000 }
producer "counts" { jid = "${COUNTS}" sources = { "org.mitros.writing_analytics" } reducers = { "counts.words" } }`,
};

/** The two reducers as processes. */
class Reducers {
	constructor(instance) {
		this.instance = instance;
		this.writing = new Service('writing', instance.at('writing.log'));
		this.counts = new Service('counts', instance.at('counts.log'));
	}

	startWriting() { this.writing.spawn(this.instance.bin('lecternd'), ['-c', this.instance.at('lectern.conf'), '--component', 'writing']); }
	startCounts() {
		const { instance } = this;
		this.counts.spawn('python3', [path.join(ROOT, 'examples/count_words.py'), `127.0.0.1:${instance.ports.component}`, COUNTS,
			instance.secretFile(COUNTS), SERVICE]);
	}

	start() { this.startWriting(); this.startCounts(); }
	async stop() { await Promise.all([this.writing.stop('SIGKILL'), this.counts.stop('SIGKILL')]); }
}

const behind = (instance) => instance.status().producers.map((p) => p.behind);

/** The teacher's dashboard: subscribes again whenever its stream is new. */
async function dashboard(instance, nodes) {
	const reader = new Reader(instance, instance.users.teacher);
	reader.again = async () => {
		for (const node of nodes)
			await waitFor(async () => {
				await reader.presence(SERVICE).catch(() => {});
				return (await reader.refusal(reader.subscribe(SERVICE, node))) === null;
			}, `subscription to ${node}`, 120_000).catch(() => {});
	};
	reader.client.on('online', reader.again);
	return reader.start();
}

/** What one thing does not exist for: who is no producer. */
async function strangerSeesNothing(instance) {
	for (const who of ['stranger', 'teacher']) {
		const reader = await new Reader(instance, instance.users[who]).start();
		for (const node of ['events/_all', 'events/org.mitros.writing_analytics', 'state/counts.words', 'events/none']) {
			same(await reader.refusal(reader.retrieve(SERVICE, node)), 'not-allowed', `${who} retrieves nothing of ${node}`);
			same(await reader.refusal(reader.subscribe(SERVICE, node)), 'not-allowed', `and cannot subscribe`);
		}
		const item = xml('item', { id: 'position' }, xml('json', { xmlns: 'urn:xmpp:json:0' }, '{"v":1,"position":1}'));
		same(await reader.refusal(reader.iq('set', SERVICE, xml('pubsub', { xmlns: PUBSUB }, xml('publish', { node: 'state/counts.words' }, item)))),
			'feature-not-implemented', `${who} cannot publish`);
		const listed = (await reader.discoItems(SERVICE)).map((i) => i.node).filter((n) => /^(events|state)\//.test(n));
		same(listed, [], 'and such nodes are not listed');
		await reader.stop();
	}
}

/** What the journal's events make of every reducer, run in this process by the rules of the example. */
function ledger(instance) {
	const students = new Map(), seen = new Set();
	const sessions = new Map();
	for (const r of jsonLines(instance.ctl('journal', 'dump'))) {
		if (r.type === 'session') sessions.set(r.session, r);
		if (r.type !== 'event') continue;
		const s = sessions.get(r.session), key = `${s.stream} ${r.stream_seq}`;
		if (seen.has(key)) throw new Error(`twice in the journal: ${key}`);
		seen.add(key);
		const state = students.get(s.safe_user_id) ?? {};
		if (r.client.event === 'keystroke') state.keys = (state.keys ?? 0) + 1;
		if (r.client.bundles === 7) continue;
		for (const c of (r.client.bundles ?? []).flatMap((b) => b.commands)) state.letters = (state.letters ?? 0) + c.s.length;
		state.events = (state.events ?? 0) + 1;
		students.set(s.safe_user_id, state);
	}
	return students;
}

const sorted = (o) => Object.fromEntries(Object.entries(o).sort());

/** The same journal folded by the reducers inside lecternd: no process of their own. */
function inProcess(instance) {
	const conf = instance.at('in-process.conf');
	fs.writeFileSync(conf, fs.readFileSync(instance.at('lectern.conf'), 'utf8').replace('process = "own"', '')
		.replace(/^producer .*$/m, ''), { mode: 0o600 });
	return jsonLines(execFileSync(instance.bin('lecternctl'), ['journal', 'replay', '-c', conf], { encoding: 'utf8', maxBuffer: 1 << 30 }));
}

async function killSome(instance, reducers) {
	const pause = () => new Promise((r) => setTimeout(r, 50 + Math.random() * 700));
	const victims = [
		['the writing process', async () => { await reducers.writing.stop('SIGKILL'); await pause(); reducers.startWriting(); }],
		['the Python reducer', async () => { await reducers.counts.stop('SIGKILL'); await pause(); reducers.startCounts(); }],
		['lecternd', async () => { await instance.lecternd.stop('SIGKILL'); await instance.startLecternd(); }],
		['the XMPP server', async () => { await instance.server.stop('SIGKILL'); await instance.server.start(); }],
	];
	const times = new Map();
	for (let i = 0; i < KILLS; i++) {
		await pause();
		const [name, kill] = victims[i < victims.length ? i : Math.floor(Math.random() * victims.length)];
		await kill();
		times.set(name, (times.get(name) ?? 0) + 1);
	}
	ok(true, `killed ${[...times].map(([n, t]) => `${n} ${t} times`).join(', ')}`);
}

await withServers('producer', options, async (instance) => {
	const reducers = new Reducers(instance);
	const counts = `class/${instance.class}/counts.words`, tasks = `class/${instance.class}/writing.time_on_task`;
	reducers.start();
	const teacher = await dashboard(instance, [counts, tasks]);
	const students = instance.students.map((s) => new Student(instance.events, s.user_id).connect());
	await strangerSeesNothing(instance);

	// Something too large for any stanza is in parts, and counts like the rest.
	const large = 'x"\\\u00e9'.repeat(40_000);
	students[0].send({ event: 'google_docs_save', doc_id: students[0].doc, bundles: [{ commands: [{ ty: 'is', ibi: 1, s: large }] }] });
	// And something that no reducer expects leaves every state as it was.
	students[1].send({ event: 'google_docs_save', doc_id: students[1].doc, bundles: 7 });
	students[1].unfolded = 1;
	const typing = setInterval(() => students.forEach((s) => s.type()), 150);
	await killSome(instance, reducers);

	// A reducer that hangs, and one that crashes at once, disturb nobody.
	process.kill(reducers.writing.pid, 'SIGSTOP');
	await reducers.counts.stop('SIGKILL');
	const before = students.reduce((n, s) => n + s.acked, 0);
	await waitFor(() => students.reduce((n, s) => n + s.acked, 0) > before + 300, 'acks while a reducer hangs', 60_000);
	ok(true, 'while one reducer hangs and one is gone, events are taken and acknowledged');
	const p = instance.students[1].pseudonym;
	ok(liveStates(instance)[`Internal,activity.event_count,STUDENT:${instance.students[1].id}`].value.count > 0, 'and the others are folded');
	process.kill(reducers.writing.pid, 'SIGCONT');
	reducers.startCounts();

	clearInterval(typing);
	await waitFor(() => students.every((s) => s.acked === s.seq), 'all acks', 120_000);
	await waitFor(() => behind(instance).every((n) => n === 0), 'the producers to have acknowledged everything', 180_000)
		.catch((e) => ok(false, `${e.message}: ${JSON.stringify(instance.status().producers)}`));

	const want = ledger(instance), live = liveStates(instance);
	for (const [i, s] of students.entries()) {
		const { id } = instance.students[i];
		same(want.get(id).events, s.seq - (s.unfolded ?? 0), `student ${i + 1}: every event is in the journal once`);
		same(sorted(live[`Internal,counts.words,STUDENT:${id}`]?.value ?? {}), sorted(want.get(id)), 'and in the state of the Python reducer once');
	}
	const writing = (states) => states.filter((s) => s.key.includes('writing_analysis')).map((s) => [s.key, JSON.stringify(s.value)]);
	same(writing(jsonLines(instance.ctl('states'))), writing(inProcess(instance)), 'what the writing process published is, byte for byte, what lecternd itself would have folded');
	ok(/ equal\n$/.test(instance.ctl('journal', 'replay', '--verify')), 'replay --verify: the same bytes');

	// A subscription bound to presence need not outlive a lecternd killed in the same moment.
	await teacher.again();
	for (const [i] of students.entries()) {
		const { pseudonym, id } = instance.students[i];
		const state = live[`Internal,counts.words,STUDENT:${id}`];
		await teacher.until(counts, pseudonym, (x) => x.seq === state.seq, 60_000).catch(() => {});
		same(teacher.item(counts, pseudonym)?.state, state.value, `the teacher's client has the counts of student ${i + 1}`);
		const doc = `Internal,writing_observer.writing_analysis.time_on_task,EventField.doc_id:${students[i].doc},STUDENT:${id}`;
		await teacher.until(tasks, `${pseudonym}/${students[i].doc}`, (x) => x.seq === live[doc].seq, 60_000).catch(() => {});
		same(teacher.item(tasks, `${pseudonym}/${students[i].doc}`)?.state, live[doc].value, 'and the time on task');
	}
	same(teacher.went_back, [], 'no version went back');
	ok(p.length === 26, 'under pseudonyms');
	await strangerSeesNothing(instance);
	const status = JSON.parse(instance.ctl('status', '--component', 'writing'));
	ok(status.state === 'up' && status.waiting === 0, 'lecternctl status --component asks the writing process');
	students.forEach((s) => s.stop());
	same((await reducers.writing.stop('SIGTERM')).code, 0, 'SIGTERM ends the writing process cleanly');
	const sanitizers = fs.readFileSync(reducers.writing.log, 'utf8').match(/^.*(?:ERROR: (?:Address|Leak)Sanitizer|runtime error).*$/m);
	ok(!sanitizers, `its sanitizers have nothing to say ${sanitizers ?? ''}`);
	await reducers.stop();
	await teacher.stop();
});
