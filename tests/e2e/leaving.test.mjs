// SPDX-License-Identifier: MIT
// leaving: what a subscriber hears, through each server, when a student leaves a
// class, when the class empties, and when it is no more (XEP-0060 §7.2.2, §8.5.2, §8.4.2).
import { Reader } from './lib/reader.mjs';
import { ok, same, waitFor, withServers } from './lib/rig.mjs';
import { Student } from '../../tools/class.mjs';

const EVENT = 'http://jabber.org/protocol/pubsub#event';

await withServers('leaving', { students: 3 }, async (instance) => {
	const service = instance.components.activity;
	const cls = instance.class, node = `class/${cls}/activity.event_count`, names = `class/${cls}/_roster`;
	const students = instance.students.map((s) => new Student(instance.events, s.user_id).connect());
	students.forEach((s) => s.type());
	await waitFor(() => students.every((s) => s.live && s.acked === s.seq), 'the first acks');

	const heard = []; // [node, what, id] in order
	const teacher = await new Reader(instance, instance.users.teacher).start();
	teacher.client.on('stanza', (s) => {
		const event = s.is('message') && s.getChild('event', EVENT);
		if (!event) return;
		for (const x of event.getChildElements()) {
			if (x.name === 'items') for (const r of x.getChildren('retract')) heard.push([x.attrs.node, 'retract', r.attrs.id]);
			else heard.push([x.attrs.node, x.name, x.attrs.subscription]);
		}
	});
	await teacher.presence(service);
	for (const n of [node, names]) await teacher.subscribe(service, n);
	await waitFor(() => instance.students.every((s) => teacher.item(node, s.pseudonym) && teacher.item(names, s.pseudonym)), 'the snapshots');

	const rows = instance.rosterRows();
	const reload = (kept) => {
		instance.writeRoster(kept);
		same(JSON.parse(instance.ctl('reload')), { ok: true }, 'the roster changes');
	};
	const has = (...what) => heard.some((h) => JSON.stringify(h) === JSON.stringify(what));
	const [first] = instance.students;
	reload(rows.filter((r) => r[2] !== first.id));
	await waitFor(() => has(node, 'retract', first.pseudonym) && has(names, 'retract', first.pseudonym), 'the retractions');
	ok(true, 'a student leaves the class: her items are retracted from both nodes');
	ok(!(first.pseudonym in await teacher.retrieve(service, node)), 'and cannot be retrieved');
	students[0].type();
	await waitFor(() => students[0].acked === students[0].seq, 'acks');
	await teacher.discoItems(service);
	ok(!teacher.item(node, first.pseudonym), 'what she does now is not seen');

	reload(rows);
	await waitFor(() => teacher.item(node, first.pseudonym)?.state.count === students[0].seq, 'her return');
	ok(true, 'she comes back with what she did meanwhile');

	reload(rows.filter((r) => r[1] === 'teacher'));
	await waitFor(() => has(node, 'purge', undefined) && has(names, 'purge', undefined), 'the purge');
	ok(true, 'the class empties: its nodes are purged');

	reload([['other', 'teacher', 't1', instance.users.teacher.jid, 'Teacher'], ['other', 'student', first.id, '', 'S']]);
	await waitFor(() => has(node, 'subscription', 'none') && has(names, 'subscription', 'none'), 'the end');
	const ends = heard.filter(([n, what]) => n === node && (what === 'delete' || what === 'subscription')).map(([, what]) => what);
	same(ends, ['delete', 'subscription'], 'the class is no more: its node is deleted, then the subscription ends');
	students.forEach((s) => s.stop());
	await teacher.stop();
});
