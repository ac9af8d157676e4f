// SPDX-License-Identifier: MIT
// spine: one event's road with the real things: the unmodified client library
// sends, a foreign XMPP client receives, and nobody sees a student who is not
// theirs.
import { spawn } from 'node:child_process';
import * as path from 'node:path';
import { Reader } from './lib/reader.mjs';
import { ok, same, waitFor, withServers } from './lib/rig.mjs';
import { Student } from '../../tools/class.mjs';

const EVENTS = 7;
const TWO = { activity: 'activity.lectern.school.test', writing: 'writing.lectern.school.test' };

function loClient(instance, user) {
	const script = path.join(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), 'lib', 'lo-client.mjs');
	return spawn('node', [script, instance.events, user, String(EVENTS)], { stdio: ['ignore', 'inherit', 'inherit'] });
}

await withServers('spine', { components: TWO }, async (instance) => {
	const { activity, writing } = instance.components;
	const node = `class/${instance.class}/writing.time_on_task`;
	const counts = `class/${instance.class}/activity.event_count`;
	const [first, second] = instance.students;

	const teacher = await new Reader(instance, instance.users.teacher).start();
	await teacher.presence(writing);
	await teacher.presence(activity);
	await teacher.subscribe(writing, node);
	await teacher.subscribe(activity, counts);

	const library = loClient(instance, first.user_id);
	const count = await teacher.until(counts, first.pseudonym, (p) => p.state.count >= EVENTS, 60_000);
	library.kill();
	same(count.state.count, EVENTS, 'every event of the unmodified client library is counted once');
	same(count.sec, 'unauthenticated', 'an unverified identity carries its label');
	const task = await teacher.until(node, `${first.pseudonym}/doc-${first.user_id}`, (p) => p.v === 1);
	ok(typeof task.state.total_time_on_task === 'number' && task.state.saved_ts > 1.7e9, 'the document has its time on task');

	const nodes = (await teacher.discoItems(writing)).map((i) => i.node);
	ok(nodes.includes(node), 'disco lists the class node to its teacher');
	ok(nodes.includes(`class/${instance.class}/_roster`), 'and the roster node');
	ok(!nodes.includes(counts), 'but no node of another component');
	const names = await teacher.retrieve(writing, `class/${instance.class}/_roster`);
	same(names[first.pseudonym].state.name, first.name, 'the roster node tells the teacher the name');
	same((await teacher.retrieve(activity, counts))[first.pseudonym].state.count, EVENTS, 'items can be retrieved');

	const stranger = await new Reader(instance, instance.users.stranger).start();
	await stranger.presence(writing);
	same(await stranger.refusal(stranger.subscribe(writing, node)), 'not-allowed', 'a stranger is refused');
	same(await stranger.refusal(stranger.subscribe(writing, 'class/none/writing.time_on_task')), 'not-allowed', 'an unknown node is refused in the same words');
	same(await stranger.discoItems(writing), [], 'a stranger sees no node names');
	ok(await stranger.refusal(stranger.retrieve(writing, node)) !== null, 'a stranger cannot retrieve items');
	ok(![...teacher.items.keys(), ...nodes].some((n) => n.includes('testcase') || n.includes('Student')),
		'no node name and no item id carries a student\'s id or name');

	const s = new Student(instance.events, second.user_id).connect();
	for (let i = 0; i < 5; i++) s.type();
	await waitFor(() => s.acked === s.seq, 'all acks');
	await teacher.until(counts, second.pseudonym, (p) => p.state.count === s.seq);
	ok(true, 'a second student arrives, every event acknowledged and counted');

	// The teacher is taken out of the roster, another comes in.
	const other = await instance.addUser('teacher2');
	instance.writeRoster([...instance.rosterRows().filter((r) => r[1] !== 'teacher'),
		[instance.class, 'teacher', 't2', other.jid, 'Other']]);
	same(JSON.parse(instance.ctl('reload')), { ok: true }, 'the roster is reloaded');
	await waitFor(() => teacher.ended.includes(node) && teacher.ended.includes(counts), 'the notices that the subscriptions ended');
	ok(true, 'the removed teacher is told that the subscriptions ended');
	const before = teacher.received.length;
	const witness = await new Reader(instance, other).start();
	await witness.presence(activity);
	await witness.subscribe(activity, counts);
	for (let i = 0; i < 5; i++) s.type();
	await waitFor(() => s.acked === s.seq, 'all acks');
	await witness.until(counts, second.pseudonym, (p) => p.state.count === s.seq);
	// Stanzas keep their order: what was sent to the removed teacher before this answer has arrived.
	for (const service of [writing, activity]) await teacher.discoItems(service);
	same(teacher.received.length, before, 'a removed teacher receives nothing more');
	same(await teacher.discoItems(writing), [], 'and sees no node names');
	ok(await teacher.refusal(teacher.retrieve(activity, counts)) !== null, 'and cannot retrieve items');
	same(await teacher.refusal(teacher.subscribe(writing, node)), 'not-allowed', 'and cannot subscribe again');

	instance.writeRoster([[instance.class, 'no-such-role', 'x', '', '']]);
	ok(refused(instance).ok === false, 'a roster with a mistake is refused');
	same(instance.status().roster.students, instance.students.length, 'and the old one stays');

	s.stop();
	for (const r of [teacher, stranger, witness]) await r.stop();
});

/** lecternctl ends with an error when a reload is refused; the answer is on its output all the same. */
function refused(instance) {
	try {
		return JSON.parse(instance.ctl('reload'));
	} catch (e) {
		return JSON.parse(e.stdout);
	}
}
