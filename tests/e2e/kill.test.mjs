// SPDX-License-Identifier: MIT
// kill: SIGKILL at random moments under load, again and again. The sender's
// ledger decides: every acknowledged event is in the journal exactly once, none
// is counted twice, and the replayed states equal the live ones. Then the same, shorter,
// with each store of states, whose Redis is killed, too.
import { CHOICES } from '../../tools/instance.mjs';
import { ok, same, jsonLines, liveStates, replayedStates, storedAll, waitFor, withEach } from './lib/rig.mjs';
import { Student, keystroke } from '../../tools/class.mjs';

const KILLS = Number(process.env.LECTERN_KILLS ?? 200);
const KILLS_EACH = Math.max(5, Math.floor(KILLS / 10)); // with each store of states
const STUDENTS = 6;
const BURST_MS = 4;        // pause between bursts of one student
const LIFE_MS = 120;       // longest life of a daemon after it is ready
const RESEND_MAX = 40;     // of acknowledged events, sent again after a cut
const WAITING_MAX = 1000;  // unacknowledged events of one student: on a slow machine they must not pile up

/** A student who keeps a ledger and, after each cut, sends a random number of old events again. */
class Ledger extends Student {
	constructor(...args) {
		super(...args);
		this.history = [];
		this.highestAck = 0;
		this.onack = (seq) => {
			if (!this.live && this.history.length > 0) this.resendOld();
			if (seq < this.highestAck) this.ackWentBack = { from: this.highestAck, to: seq };
			this.highestAck = Math.max(this.highestAck, seq);
		};
	}

	resendOld() {
		const n = Math.floor(Math.random() * RESEND_MAX);
		for (const e of this.history.filter((x) => x.seq <= this.acked).slice(-n)) this.socket.send(JSON.stringify(e));
	}

	burst() {
		if (this.waiting.length > WAITING_MAX) return;
		for (let i = Math.floor(Math.random() * 8); i >= 0; i--)
			this.history.push(this.send(keystroke('a', this.doc, Date.now())));
	}

	run() {
		this.connect();
		this.timer = setInterval(() => this.burst(), BURST_MS);
		return this;
	}
}

function checkJournal(instance, students) {
	const seen = new Map(); // stream -> seq -> times
	const streams = new Map(); // session -> stream
	for (const r of jsonLines(instance.ctl('journal', 'dump'))) {
		if (r.type === 'session') streams.set(r.session, r.stream);
		if (r.type !== 'event') continue;
		const stream = streams.get(r.session);
		if (!seen.has(stream)) seen.set(stream, new Map());
		seen.get(stream).set(r.stream_seq, (seen.get(stream).get(r.stream_seq) ?? 0) + 1);
	}
	let missing = 0, doubled = 0;
	for (const s of students) {
		const times = seen.get(s.stream) ?? new Map();
		for (let n = 1; n <= s.highestAck; n++) if (!times.has(n)) missing++;
		for (const t of times.values()) if (t > 1) doubled++;
	}
	same(missing, 0, 'every acknowledged event is in the journal');
	same(doubled, 0, 'and no event is in it twice');
}

/** Ends Redis without a word; it comes back with nothing of what it had. */
async function killRedis(instance) {
	await instance.redis.kill();
	await new Promise((r) => setTimeout(r, Math.random() * LIFE_MS));
	await instance.redis.start();
}

const options = { students: STUDENTS, limitMs: 1_500_000, logLevel: 'notice' };
const sets = CHOICES.kvs.map((kvs) => [`kvs ${kvs}`, { ...options, kvs, kills: kvs === 'memory' ? KILLS : KILLS_EACH }]);

await withEach('kill', sets, async (instance) => {
	const { kills } = instance.o;
	const students = instance.students.map((s) => new Ledger(instance.events, s.user_id).run());
	for (let i = 0; i < kills; i++) {
		await new Promise((r) => setTimeout(r, Math.random() * LIFE_MS));
		await instance.lecternd.stop('SIGKILL');
		if (instance.redis && i % 2 === 0) await killRedis(instance);
		await instance.startLecternd();
	}
	ok(true, `killed ${kills} times and started again each time`);
	for (const s of students) clearInterval(s.timer);
	await waitFor(() => students.every((s) => s.highestAck === s.seq), 'the acks of everything after the last start', 120_000);
	ok(students.every((s) => !s.ackWentBack), 'no acknowledgement ever went back');
	const total = students.reduce((n, s) => n + s.seq, 0);
	ok(total > kills, `${total} events under way`);

	checkJournal(instance, students);
	const live = liveStates(instance), replayed = replayedStates(instance);
	same(live, replayed, 'the replayed states equal the live ones');
	const counts = students.map((s) => live[`Internal,activity.event_count,STUDENT:tc-testcase-${s.userId}`]?.value.count);
	same(counts, students.map((s) => s.seq), 'every event is counted exactly once');
	ok(/ equal\n$/.test(instance.ctl('journal', 'replay', '--verify')), 'replay --verify: the same bytes');
	for (const s of students) s.stop();
	if (instance.kvs !== 'memory') await storedAll(instance);
	same((await instance.lecternd.stop('SIGTERM')).code, 0, 'SIGTERM ends it cleanly');
	await instance.startLecternd();
	same(liveStates(instance), live, 'and the next start, from the snapshot, has the same states');
});
