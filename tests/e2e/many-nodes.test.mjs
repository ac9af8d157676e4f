// SPDX-License-Identifier: MIT
// many-nodes: ten thousand nodes under load while lecternd and the XMPP server
// are killed in both orders. In the end every node holds exactly what the
// journal says, and no subscriber saw a version go back.
import { ok, replayedStates, same, waitFor, withServers } from './lib/rig.mjs';
import { startDashboard } from './lib/reader.mjs';
import { Student } from '../../tools/class.mjs';

const STUDENTS = Number(process.env.LECTERN_MANY ?? 2500);
const PER_CLASS = 50;
const REDUCERS = {
	'activity.event_count': (id) => `Internal,activity.event_count,STUDENT:${id}`,
	'activity.last_active': (id) => `Internal,activity.last_active,STUDENT:${id}`,
	'writing.last_document': (id) => `Internal,writing_observer.writing_analysis.last_document,STUDENT:${id}`,
	'writing.time_on_task': (id, doc) => `Internal,writing_observer.writing_analysis.time_on_task,EventField.doc_id:${doc},STUDENT:${id}`,
};
const WAVE = 125;    // students who type at a time
const AT_A_TIME = 16; // requests under way

async function inTurns(list, n, work) {
	const queue = [...list];
	await Promise.all(Array.from({ length: n }, async () => { for (let x; (x = queue.shift()) !== undefined;) await work(x); }));
}

/** ejabberd ends a session that leaves 5,000 stanzas unacknowledged, as this client may: then it asks anew. */
async function again(request) {
	for (let tries = 0; ; tries++) {
		try {
			return await request();
		} catch (e) {
			if (tries === 3) throw e;
		}
	}
}

await withServers('many-nodes', { students: STUDENTS, logLevel: 'warning', limitMs: 600_000 }, async (instance) => {
	const service = instance.components.activity;
	const classOf = (i) => `c${Math.floor(i / PER_CLASS)}`;
	const classes = [...new Set(instance.students.map((_, i) => classOf(i)))];
	instance.writeRoster([
		...classes.map((c) => [c, 'teacher', 't1', instance.users.teacher.jid, 'Teacher']),
		...instance.students.map((s, i) => [classOf(i), 'student', s.id, '', s.name]),
	]);
	same(JSON.parse(instance.ctl('reload')), { ok: true }, `${STUDENTS} students in ${classes.length} classes`);
	const nodes = classes.flatMap((c) => Object.keys(REDUCERS).map((r) => [service, `class/${c}/${r}`]));
	const teacher = await startDashboard(instance, instance.users.teacher, nodes);

	const students = instance.students.map((s) => new Student(instance.events, s.user_id));
	const kill = [
		async () => { await instance.server.kill(); await instance.server.start(); },
		async () => { await instance.lecternd.kill(); await instance.startLecternd(); },
		async () => { await instance.server.kill(); await instance.lecternd.kill(); await instance.startLecternd(); await instance.server.start(); },
		async () => { await instance.lecternd.kill(); await instance.server.kill(); await instance.server.start(); await instance.startLecternd(); },
	];
	let kills = 0;
	for (let at = 0; at < students.length; at += WAVE) {
		const wave = students.slice(at, at + WAVE);
		for (const s of wave) { s.connect(); for (let i = 0; i < 3; i++) s.type(); }
		if ((at / WAVE) % 2 === 1) {
			await waitFor(() => teacher.subscribed, 'the dashboard to be back', 120_000); // some clients do not survive a cut inside their login
			await kill[kills++ % kill.length]();
		}
		await waitFor(() => wave.every((s) => s.acked === s.seq), 'the acks of a wave', 90_000);
		wave.forEach((s) => s.stop());
	}
	ok(kills >= Math.floor(STUDENTS / WAVE / 2), `killed ${kills} times meanwhile`);
	await waitFor(() => teacher.subscribed, 'the dashboard to be back', 120_000);

	const final = replayedStates(instance);
	const truth = (reducer, i) => final[REDUCERS[reducer](instance.students[i].id, students[i].doc)];
	const lost = students.flatMap((s, i) => (truth('activity.event_count', i)?.value.count === s.seq ? [] : [s.userId]));
	same(lost, [], 'every acknowledged event is in the journal and counted once');

	const wrong = [];
	let seen = 0;
	await inTurns(students.keys(), AT_A_TIME, async (i) => {
		for (const reducer of Object.keys(REDUCERS)) {
			const items = Object.values(await again(() => teacher.retrieve(service, `student/${instance.students[i].pseudonym}/${reducer}`)));
			const want = truth(reducer, i);
			seen++;
			if (items.length !== 1 || items[0].seq !== want?.seq || JSON.stringify(items[0].state) !== JSON.stringify(want?.value))
				wrong.push([reducer, instance.students[i].id, items, want]);
		}
	});
	same(wrong.slice(0, 3), [], `${seen} nodes hold what the journal says`);

	const behind = () => students.flatMap((s, i) => Object.keys(REDUCERS).filter((r) => {
		const id = instance.students[i].pseudonym + (r === 'writing.time_on_task' ? `/${s.doc}` : '');
		return teacher.item(`class/${classOf(i)}/${r}`, id)?.seq !== truth(r, i).seq;
	}).map((r) => `${r} ${s.userId}`));
	await waitFor(() => behind().length === 0, 'the last items', 90_000).catch(() => {});
	same(behind().slice(0, 3), [], 'the subscriber of all class nodes has the same');
	same(teacher.went_back, [], 'and saw no version go back');
	await teacher.stop();
});
