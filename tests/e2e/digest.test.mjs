// SPDX-License-Identifier: MIT
// digest: what a digest saves, counted, through each server (XEP-0060 §12.8):
// within its time nothing comes, then the newest value of each item once.
import { Reader, xml } from './lib/reader.mjs';
import { ok, same, waitFor, withServers } from './lib/rig.mjs';
import { Student } from '../../tools/class.mjs';

const PUBSUB = 'http://jabber.org/protocol/pubsub';
const HOUR_MS = 3_600_000;

const field = (var_, value) => xml('field', { var: var_ }, xml('value', {}, value));
const form = (fields) => xml('x', { xmlns: 'jabber:x:data', type: 'submit' },
	field('FORM_TYPE', `${PUBSUB}#subscribe_options`), ...Object.entries(fields).map(([k, v]) => field(`pubsub#${k}`, v)));

await withServers('digest', { students: 10 }, async (instance) => {
	const service = instance.components.activity;
	const node = `class/${instance.class}/activity.event_count`;
	const students = instance.students.map((s) => new Student(instance.events, s.user_id).connect());
	const type = async (words) => {
		for (let i = 0; i < words; i++) students.forEach((s) => s.type());
		await waitFor(() => students.every((s) => s.live && s.acked === s.seq), 'acks');
	};
	await type(1);

	const teacher = await new Reader(instance, instance.users.teacher).start();
	let messages = 0;
	teacher.client.on('stanza', (s) => { messages += s.is('message') && s.getChild('event', `${PUBSUB}#event`) ? 1 : 0; });
	await teacher.presence(service);
	await teacher.iq('set', service, xml('pubsub', { xmlns: PUBSUB }, xml('subscribe', { node, jid: teacher.jid }),
		xml('options', {}, form({ digest: '1', digest_frequency: String(HOUR_MS) }))));
	const current = () => instance.students.every((s, i) => teacher.item(node, s.pseudonym)?.state.count === students[i].seq);
	await waitFor(current, 'the snapshot');
	same([messages, teacher.received.length], [1, students.length], 'the snapshot is one message');

	await type(20);
	await teacher.discoItems(service); // stanzas keep their order: nothing is on its way
	same(teacher.received.length, students.length, `${20 * students.length} words later nothing has come`);

	const options = (fields) => teacher.iq('set', service, xml('pubsub', { xmlns: PUBSUB }, xml('options', { node, jid: teacher.jid }, form(fields))));
	await options({ digest: '0' });
	await waitFor(current, 'what was held back');
	same([messages, teacher.received.length], [2, 2 * students.length], 'without the digest the newest value of each comes, once, in one message');
	await type(1);
	await waitFor(current, 'live items');
	ok(true, 'and from then on every change');
	students.forEach((s) => s.stop());
	await teacher.stop();
});
