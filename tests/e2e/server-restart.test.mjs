// SPDX-License-Identifier: MIT
// server-restart: the XMPP server killed and restarted under load. The subscriber ends
// with the journal's final states, and no version ever goes back.
import { Reader, startDashboard } from './lib/reader.mjs';
import { ok, same, replayedStates, waitFor, withServers } from './lib/rig.mjs';
import { Student } from '../../tools/class.mjs';

const KILLS = 5;
const STUDENTS = 10;

/** A session that subscribed and will not come back by itself. */
async function passerby(instance, node) {
	const reader = await new Reader(instance, instance.users.teacher).start();
	reader.client.reconnect.stop();
	await reader.presence(instance.components.activity);
	await reader.subscribe(instance.components.activity, node);
	return reader;
}

const subscriptions = (instance) => instance.status().xmpp.reduce((n, c) => n + c.subscriptions, 0);

/** Those who vanished while nobody could tell us are found by our asking; those who are there stay. */
async function ghosts(instance, teacher, counts) {
	const there = subscriptions(instance);
	const first = await passerby(instance, counts);
	same(subscriptions(instance), there + 1, 'another session subscribes');
	await instance.server.kill();
	await first.stop();
	await instance.server.start();
	await waitFor(() => teacher.subscribed, 'the dashboard to be back', 90_000);
	await waitFor(() => subscriptions(instance) === there, 'the end of the subscription', 60_000);
	ok(true, 'a session that the server\'s end took away is found to be gone, those of the other are not');

	const second = await passerby(instance, counts);
	await instance.lecternd.kill();
	await second.stop();
	await instance.startLecternd();
	await instance.componentsUp();
	await waitFor(() => subscriptions(instance) === there, 'the end of the subscription', 60_000);
	ok(true, 'and so is one that went while the daemon was away');
}

await withServers('server-restart', { students: STUDENTS }, async (instance) => {
	const { activity, writing } = instance.components;
	const counts = `class/${instance.class}/activity.event_count`;
	const tasks = `class/${instance.class}/writing.time_on_task`;
	const teacher = await startDashboard(instance, instance.users.teacher, [[activity, counts], [writing, tasks]]);
	const students = instance.students.map((s) => new Student(instance.events, s.user_id).connect());
	const typing = setInterval(() => students.forEach((s) => s.type()), 40);

	for (let i = 0; i < KILLS; i++) {
		await new Promise((r) => setTimeout(r, 300 + Math.random() * 700));
		await instance.server.kill();
		await waitFor(() => instance.status().xmpp.every((c) => c.state !== 'up'), 'the daemon to notice');
		ok(true, `the server is gone (${i + 1}), the daemon says so and goes on`);
		await instance.server.start();
		await waitFor(() => teacher.subscribed, 'the dashboard to be back', 90_000);
	}
	clearInterval(typing);
	await waitFor(() => students.every((s) => s.acked === s.seq), 'all acks', 60_000);

	const final = replayedStates(instance);
	for (const [i, s] of students.entries()) {
		const { pseudonym, id } = instance.students[i];
		const count = await teacher.until(counts, pseudonym, (p) => p.state.count === s.seq, 60_000).catch(() => teacher.item(counts, pseudonym));
		const want = final[`Internal,activity.event_count,STUDENT:${id}`];
		const task = final[`Internal,writing_observer.writing_analysis.time_on_task,EventField.doc_id:${s.doc},STUDENT:${id}`];
		await teacher.until(tasks, `${pseudonym}/${s.doc}`, (p) => p.seq === task.seq, 60_000).catch(() => {});
		const got = teacher.item(tasks, `${pseudonym}/${s.doc}`);
		ok(count?.seq === want.seq && count.state.count === want.value.count && got?.seq === task.seq &&
			JSON.stringify(got.state) === JSON.stringify(task.value), `student ${i + 1}: the subscriber has the journal's final states`);
	}
	await ghosts(instance, teacher, counts);
	const [student] = students;
	student.type();
	await teacher.until(counts, instance.students[0].pseudonym, (p) => p.state.count === student.seq);
	ok(true, 'the one who stayed receives what comes');
	same(teacher.went_back, [], 'no version went back');
	students.forEach((s) => s.stop());
	await teacher.stop();
});
