// SPDX-License-Identifier: MIT
// publisher: states at the server's own PubSub service, the same on every
// server: who receives what, revocation, nodes that were opened, and equality
// after the server and the daemon were killed under load.
import * as fs from 'node:fs';
import { asComponent } from './lib/component.mjs';
import { Reader, xml } from './lib/reader.mjs';
import { ok, replayedStates, same, waitFor, withServers } from './lib/rig.mjs';
import { Student } from '../../tools/class.mjs';

const KILLS = Number(process.env.LECTERN_PUBLISHER_KILLS ?? 2);
const STUDENTS = Number(process.env.LECTERN_PUBLISHER_STUDENTS ?? 30); // four nodes each, and the class's
const CLASS = 200;
const TYPING = 10; // how many of them type all the time
const ADMIN = 'admin.school.test';
const PUBSUB = 'http://jabber.org/protocol/pubsub';

const opaque = (instance, name) => instance.ctl('node', name).trim().split('\t')[1];
const publisher = (instance) => instance.status().xmpp[0].publisher;
/** Every node verified (or refused); and, when nobody types, everything published. */
async function settled(instance, quiet = true) {
	let last;
	return waitFor(() => {
		const { xmpp: [c] } = instance.status();
		const p = last = c.publisher;
		return c.state === 'up' && p.nodes > 0 && p.nodes_waiting === 0 && p.nodes_leaving === 0 && (!quiet || p.in_flight === 0) && p;
	}, 'the publisher to settle', 120_000).catch((e) => { throw new Error(`${e.message}: ${JSON.stringify(last)}`); });
}

/** Rows of the roster: a class has no more students than its node has room for. */
function rowsOf(instance) {
	let n = 0;
	const rows = instance.rosterRows().map((r) => {
		if (r[1] !== 'student' || n++ < CLASS) return r;
		return [`c${Math.floor(n / CLASS)}`, ...r.slice(1)];
	});
	return rows;
}

/** What the component lists, page by page. */
async function listed(reader, service) {
	const RSM = 'http://jabber.org/protocol/rsm';
	const all = [];
	for (;;) {
		const after = all.length > 0 ? [xml('after', {}, all.at(-1).node)] : [];
		const r = await reader.iq('get', service, xml('query', { xmlns: 'http://jabber.org/protocol/disco#items' }, xml('set', { xmlns: RSM }, xml('max', {}, '100'), ...after)));
		const page = r.getChild('query').getChildren('item').map((i) => i.attrs);
		if (page.length === 0) return all;
		all.push(...page);
	}
}

/** A roster in which the teacher does not teach, or a student is missing. */
async function roster(instance, change) {
	instance.writeRoster(change(rowsOf(instance)));
	instance.ctl('reload');
	return settled(instance);
}

async function access(instance, service) {
	const counts = `class/${instance.class}/activity.event_count`;
	const node = opaque(instance, counts);
	const teacher = await new Reader(instance, instance.users.teacher).start();
	const stranger = await new Reader(instance, instance.users.stranger).start();
	const bare = instance.users.teacher.jid;
	await teacher.client.send(xml('presence')); // headlines to a bare JID reach who is available
	const [student] = instance.students;
	const writer = new Student(instance.events, student.user_id).connect();

	same(await teacher.refusal(teacher.subscribe(service, node, bare)), null, 'the teacher subscribes at the server');
	ok(await stranger.refusal(stranger.subscribe(service, node, instance.users.stranger.jid)) !== null, 'a stranger may not');
	ok(await stranger.refusal(stranger.retrieve(service, node)) !== null, 'nor read items');
	writer.type();
	await waitFor(() => writer.acked === writer.seq, 'acks');
	await teacher.until(node, student.pseudonym, (p) => p.state.count === writer.seq);
	ok(true, 'states arrive at the teacher');
	const map = await teacher.retrieve(service, opaque(instance, `class/${instance.class}/_roster`));
	same(map[student.pseudonym]?.state.name, student.name, '_roster tells the teacher names');
	const names = (await stranger.discoItems(service)).map((i) => i.node);
	ok(names.length > 0 && names.every((n) => /^l\/[a-z2-7]{32}$/.test(n)), 'what a stranger sees of node names says nothing');
	const found = (await listed(teacher, instance.components.activity)).filter((i) => i.jid === service);
	ok(found.some((i) => i.node === node && i.name === counts), 'the component tells the teacher which node is which');
	same((await stranger.discoItems(instance.components.activity)).length, 0, 'and the stranger nothing');

	await roster(instance, (rows) => rows.map((r) => (r[1] === 'teacher' ? [r[0], r[1], r[2], `other@${instance.domain}`, r[4]] : r)));
	const before = teacher.received.length;
	writer.type();
	await waitFor(() => writer.acked === writer.seq, 'acks');
	await waitFor(() => publisher(instance).in_flight === 0, 'the publishes');
	ok(await teacher.refusal(teacher.retrieve(service, node)) !== null, 'a removed teacher reads no items');
	ok(await teacher.refusal(teacher.subscribe(service, node, bare)) !== null, 'nor subscribes again');
	await teacher.iq('get', instance.domain, xml('ping', { xmlns: 'urn:xmpp:ping' })).catch(() => {});
	same(teacher.received.length, before, 'and was sent nothing from the very next publish');

	await roster(instance, (rows) => rows);
	same(await teacher.refusal(teacher.subscribe(service, node, bare)), null, 'back in the roster the teacher subscribes again');
	const got = await waitFor(async () => {
		const items = await teacher.retrieve(service, node);
		return items[student.pseudonym]?.state.count === writer.seq && items;
	}, 'the newest state');
	same(Object.keys(got), [student.pseudonym], 'with the state that the journal gives');
	await roster(instance, (rows) => rows.filter((r) => r[2] !== student.id));
	same(Object.keys(await teacher.retrieve(service, node)), [], 'a student who left is in no item');
	const own = opaque(instance, `student/${student.pseudonym}/activity.event_count`);
	ok(await teacher.refusal(teacher.retrieve(service, own)) !== null, 'and has no node');
	await roster(instance, (rows) => rows);
	writer.stop();
	await teacher.stop();
	await stranger.stop();
}

/** Everything the teacher can read equals the journal. */
async function equal(instance, service, students, what) {
	const final = replayedStates(instance);
	const teacher = await new Reader(instance, instance.users.teacher).start();
	let wrong = 0;
	for (const [i, s] of students.entries()) {
		const { pseudonym, id } = instance.students[i];
		const count = final[`Internal,activity.event_count,STUDENT:${id}`];
		const task = final[`Internal,writing_observer.writing_analysis.time_on_task,EventField.doc_id:${s.doc},STUDENT:${id}`];
		const a = await teacher.retrieve(service, opaque(instance, `student/${pseudonym}/activity.event_count`));
		const b = await teacher.retrieve(service, opaque(instance, `student/${pseudonym}/writing.time_on_task`));
		if (a.current?.seq !== count.seq || a.current?.state.count !== count.value.count ||
			b[s.doc]?.seq !== task.seq || JSON.stringify(b[s.doc]?.state) !== JSON.stringify(task.value)) wrong++;
	}
	same(wrong, 0, what);
	const counts = await teacher.retrieve(service, opaque(instance, `class/${instance.class}/activity.event_count`));
	const want = Object.fromEntries(instance.students.flatMap((s) => {
		const state = final[`Internal,activity.event_count,STUDENT:${s.id}`];
		return state ? [[s.pseudonym, [state.seq, state.value.count]]] : [];
	}));
	const got = Object.entries(counts).map(([id, p]) => [id, [p.seq, p.state.count]]);
	same(got.sort(), Object.entries(want).sort(), 'and so has the node of the class');
	await teacher.stop();
}

async function kills(instance, service) {
	const students = instance.students.slice(0, TYPING).map((s) => new Student(instance.events, s.user_id).connect());
	const node = opaque(instance, `class/${instance.class}/activity.event_count`);
	const typing = setInterval(() => students.forEach((s) => s.waiting.length < 200 && s.type()), 40);
	const watch = new Reader(instance, instance.users.teacher);
	watch.client.on('online', () => {
		watch.client.send(xml('presence')).catch(() => {});
		watch.subscribe(service, node, instance.users.teacher.jid).catch(() => {});
	});
	await watch.start();
	for (let i = 0; i < KILLS; i++) {
		await new Promise((r) => setTimeout(r, 300 + Math.random() * 700));
		await instance.server.kill();
		await waitFor(() => instance.status().xmpp.every((c) => c.state !== 'up'), 'the daemon to notice');
		await instance.server.start();
		await waitFor(() => publisher(instance).published > 0, 'the stream');
		await new Promise((r) => setTimeout(r, Math.random() * 500));
		await instance.lecternd.kill();
		await instance.startLecternd();
		await settled(instance, false);
	}
	clearInterval(typing);
	await waitFor(() => students.every((s) => s.acked === s.seq), 'all acks', 60_000);
	await settled(instance);
	await waitFor(() => publisher(instance).in_flight === 0, 'the last publishes');
	await equal(instance, service, students, `after ${KILLS} kills of the server and of the daemon every node has the journal's state`);
	same(watch.went_back, [], 'no version went back');
	students.forEach((s) => s.stop());
	await watch.stop();
}

/** Somebody made a node of ours first: open where the server allows it, in any case not ours to own alone. */
async function foreign(instance, service) {
	const name = 'class/8a/activity.event_count';
	const node = opaque(instance, name);
	const iq = (id, type, inside) => `<iq type='${type}' id='${id}' from='${ADMIN}' to='${service}'>${inside}</iq>`;
	const open = `<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>${PUBSUB}#node_config</value></field><field var='pubsub#access_model'><value>open</value></field></x>`;
	const [made] = await asComponent(instance, ADMIN, [iq('a', 'set', `<pubsub xmlns='${PUBSUB}'><create node='${node}'/><configure>${open}</configure></pubsub>`)]);
	ok(/type=['"]result/.test(made), 'another component makes a node in our place');
	const [student] = instance.students;
	const before = await roster(instance, (rows) => [...rows, ['8a', 'teacher', 't1', instance.users.teacher.jid, 'Teacher'], ['8a', 'student', student.id, '', student.name]]);
	same(before.refused.map((r) => [r.name, r.why]), [[name, instance.server.name === 'prosody' ? 'open' : 'forbidden']], 'it is refused, and the status says why');
	ok(fs.readFileSync(instance.lecternd.log, 'utf8').includes(`name=${name} is not published`), 'and so does the log');
	const writer = new Student(instance.events, student.user_id).connect();
	writer.type();
	await waitFor(() => writer.acked === writer.seq && publisher(instance).in_flight === 0, 'acks and publishes');
	writer.stop();
	const [items, gone] = await asComponent(instance, ADMIN, [
		iq('b', 'get', `<pubsub xmlns='${PUBSUB}'><items node='${node}'/></pubsub>`),
		iq('c', 'set', `<pubsub xmlns='${PUBSUB}#owner'><delete node='${node}'/></pubsub>`),
	]);
	ok(/type=['"]result/.test(items) && !items.includes('<item '), 'nothing was published to it');
	ok(/type=['"]result/.test(gone), 'the other component takes its node away');
	instance.ctl('reload');
	await waitFor(() => publisher(instance).nodes_refused === 0, 'the node to be ours');
	ok(true, 'a reload tries again, and the node is ours');
	await roster(instance, (rows) => rows);
}

await withServers('publisher', {
	students: STUDENTS, lines: { '*': '  pubsub = { "xmpp-server" }\n' }, producers: [ADMIN], limitMs: 600_000,
}, async (instance) => {
	const service = `pubsub.${instance.domain}`;
	const p = await roster(instance, (rows) => rows);
	same(p.nodes_refused, 0, 'no node is refused');
	same(p.nodes_published, p.nodes, `all ${p.nodes} nodes of the roster are published`);
	await access(instance, service);
	await foreign(instance, service);
	await kills(instance, service);
});
