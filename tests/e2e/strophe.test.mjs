// SPDX-License-Identifier: MIT
// strophe: the client library of browsers (strophe.js, under Node) as a consumer,
// through the WebSocket of each server: discovery, snapshot, live items, revocation.
import { Strophe, $iq, $pres } from 'strophe.js';
import { ok, same, waitFor, withServers } from './lib/rig.mjs';
import { Student } from '../../tools/class.mjs';

const PUBSUB = 'http://jabber.org/protocol/pubsub';
const text = (element, name) => element.getElementsByTagName(name)[0]?.textContent;

/** Logs in; answers the connection and what it receives. */
async function login(instance, user) {
	const c = new Strophe.Connection(instance.describe().xmpp.websocket);
	const got = { items: new Map(), ended: [], status: null };
	c.connect(user.jid, user.password, (status) => { got.status = status; });
	await waitFor(() => got.status === Strophe.Status.CONNECTED, 'the login of strophe.js');
	c.addHandler((message) => {
		for (const item of [...message.getElementsByTagName('item')])
			got.items.set(item.getAttribute('id'), JSON.parse(text(item, 'json')));
		for (const s of [...message.getElementsByTagName('subscription')]) got.ended.push([s.getAttribute('node'), s.getAttribute('subscription')]);
		return true;
	}, null, 'message');
	return { c, got, ask: (stanza) => new Promise((done, no) => c.sendIQ(stanza, done, no, 15_000)) };
}

await withServers('strophe', { students: 5 }, async (instance) => {
	const service = instance.components.activity;
	const node = `class/${instance.class}/activity.event_count`;
	const students = instance.students.map((s) => new Student(instance.events, s.user_id).connect());
	students.forEach((s) => s.type());
	await waitFor(() => students.every((s) => s.live && s.acked === s.seq), 'the first acks');

	const { c, got, ask } = await login(instance, instance.users.teacher);
	c.send($pres({ to: service }));
	const listed = await ask($iq({ type: 'get', to: service }).c('query', { xmlns: Strophe.NS.DISCO_ITEMS }));
	ok([...listed.getElementsByTagName('item')].some((i) => i.getAttribute('node') === node), 'disco lists the node');
	const info = await ask($iq({ type: 'get', to: service }).c('query', { xmlns: Strophe.NS.DISCO_INFO }));
	ok([...info.getElementsByTagName('feature')].some((f) => f.getAttribute('var') === PUBSUB), 'the service says that it is one');
	await ask($iq({ type: 'set', to: service }).c('pubsub', { xmlns: PUBSUB }).c('subscribe', { node, jid: c.jid }));
	const complete = () => instance.students.every((s, i) => got.items.get(s.pseudonym)?.state.count === students[i].seq);
	await waitFor(complete, 'the snapshot');
	ok(true, 'the snapshot comes');
	students.forEach((s) => s.type());
	await waitFor(() => students.every((s) => s.acked === s.seq), 'acks');
	await waitFor(complete, 'the live items');
	ok(true, 'and every change');

	const retrieved = await ask($iq({ type: 'get', to: service }).c('pubsub', { xmlns: PUBSUB }).c('items', { node }));
	same(retrieved.getElementsByTagName('item').length, students.length, 'items can be retrieved');
	instance.writeRoster(instance.rosterRows().filter((r) => r[1] !== 'teacher'));
	same(JSON.parse(instance.ctl('reload')), { ok: true }, 'the teacher leaves the roster');
	await waitFor(() => got.ended.length > 0, 'the notice');
	same(got.ended, [[node, 'none']], 'and is told so');
	const refused = await ask($iq({ type: 'get', to: service }).c('pubsub', { xmlns: PUBSUB }).c('items', { node })).then(() => null, (e) => e);
	ok(refused?.getElementsByTagName('closed-node').length === 1, 'and reads no more');
	students.forEach((s) => s.stop());
	c.disconnect();
	await waitFor(() => got.status === Strophe.Status.DISCONNECTED, 'the end of the session');
});
