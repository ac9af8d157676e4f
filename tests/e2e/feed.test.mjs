// SPDX-License-Identifier: MIT
// feed: a teacher signs in and follows the class on the feed WebSocket, with no XMPP
// server at all: snapshot, live, digest, several sockets, revocation, log-out, limits.
import { ok, same, waitFor, withInstance, liveStates } from './lib/rig.mjs';
import { SimulatedClass, Student } from '../../tools/class.mjs';
import { Feed, ask, signIn } from '../../tools/feed.mjs';

const NODE = 'class/7b/activity.event_count';
const STUDENTS = 12;

const stateOf = (instance, s) => liveStates(instance)[`Internal,activity.event_count,STUDENT:${s.id}`];

async function whole(instance, cookie) {
	const feed = await new Feed(instance, cookie, { origin: `http://${instance.host}:${instance.ports.web}` }).opened;
	same(await feed.subscribe(NODE), { op: 'subscribed', node: NODE, digest_ms: 0 }, 'the teacher subscribes to her class');
	const typing = new SimulatedClass(instance.describe()).start();
	await waitFor(() => feed.items.size >= STUDENTS, 'an item of every student');
	const late = await new Feed(instance, cookie).opened;
	await late.subscribe(NODE, 300);
	await waitFor(() => late.items.size >= STUDENTS, 'the snapshot for who comes late');
	ok(late.received.filter((m) => m.op === 'items')[0].items.length > 1, 'the snapshot comes in one message');
	await new Promise((r) => setTimeout(r, 1500));
	typing.stop();
	const final = () => instance.students.every((s) => [feed, late].every((f) => f.item(NODE, s.pseudonym)?.seq === stateOf(instance, s)?.seq));
	await waitFor(final, 'both readers have the final states');
	ok(true, 'both readers end with the final state of every student');
	same(feed.item(NODE, instance.students[0].pseudonym).state, stateOf(instance, instance.students[0]).value, 'the item is the state');
	same([...feed.went_back, ...late.went_back], [], 'and no item ever went back');
	const messages = (f) => f.received.filter((m) => m.op === 'items').length;
	ok(messages(late) < messages(feed) / 2, `a digest saves messages (${messages(late)} of ${messages(feed)})`);
	const text = JSON.stringify(feed.received);
	ok(!text.includes('tc-testcase') && !text.includes('Student 1'), 'no item says who a student is');
	return { feed, late };
}

async function requests(instance, cookie) {
	const feed = await new Feed(instance, cookie).opened;
	const code = async (o) => (await feed.answer(o)).code;
	same((await feed.answer({ op: 'ping' })).op, 'pong', 'ping');
	const { nodes, more } = await feed.answer({ op: 'nodes' });
	ok(nodes.includes(NODE) && nodes.includes('class/7b/_roster') && !more, 'nodes lists what the teacher may read');
	same((await feed.answer({ op: 'nodes', after: nodes[2] })).nodes, nodes.slice(3), 'and goes on after one of them');
	same(await code('nonsense'), 'bad_request', 'what is no JSON is an error');
	same(await code([]), 'bad_request', 'and what is no object');
	same(await code({ op: 'publish', node: NODE }), 'bad_request', 'and an unknown op');
	same(await code({ op: 'subscribe' }), 'bad_request', 'and a subscription to nothing');
	same(await code({ op: 'subscribe', node: NODE, digest_ms: -1 }), 'bad_request', 'and a digest of the past');
	same(await code({ op: 'unsubscribe', node: NODE }), 'not_subscribed', 'and an end without a beginning');
	const unknown = await feed.answer({ op: 'subscribe', node: 'class/9z/activity.event_count' });
	const foreign = await feed.answer({ op: 'subscribe', node: 'student/nobody/activity.event_count' });
	same([unknown.code, unknown.message], ['forbidden', foreign.message], 'a class that there is not looks like one that is another\'s');
	await feed.subscribe(NODE);
	same((await feed.subscribe(NODE, 500)).digest_ms, 500, 'subscribing again sets another digest');
	same((await feed.answer({ op: 'unsubscribe', node: NODE })).op, 'unsubscribed', 'unsubscribe');
	same((await feed.answer({ op: 'ping' })).op, 'pong', 'after all of that it goes on');
	feed.send({ op: 'subscribe', node: 'x'.repeat(5000) });
	same((await feed.closed).code, 1009, 'a message that is too long ends it');
	const flood = await new Feed(instance, cookie).opened;
	for (let i = 0; i < 2000; i++) flood.send({ op: 'ping' });
	same((await flood.closed).code, 1008, 'who talks without end is closed');
}

async function refusals(instance, cookie) {
	const status = async (...o) => new Feed(instance, ...o).opened.then(() => 101, (e) => e.status);
	same(await status(undefined), 401, 'without a session there is no feed');
	same(await status(`lectern_session=${'A'.repeat(43)}`), 401, 'nor with a made-up one');
	same(await status(cookie, { origin: 'https://evil.example' }), 403, 'nor for a page of another origin');
	same(await status(cookie, { origin: 'https://good.example' }), 101, 'a page of a known origin may');
	const stranger = await signIn(instance, instance.users.stranger);
	const feed = await new Feed(instance, stranger).opened;
	same((await feed.subscribe(NODE)).code, 'forbidden', 'a stranger who signed in sees no class');
	same((await feed.answer({ op: 'nodes' })).nodes, [], 'and no node');
	await feed.close();
}

async function slow(instance, cookie) {
	const student = new Student(instance.events, 'u1').connect();
	await waitFor(() => student.live, 'a student');
	const feed = await new Feed(instance, cookie).opened;
	await feed.subscribe(NODE);
	feed.socket.pause();
	for (let i = 0; i < 1000; i++) {
		student.type();
		if (i % 100 === 0) await new Promise((r) => setImmediate(r));
	}
	await waitFor(() => student.acked === student.seq, 'all events are kept while a reader does not read', 60_000);
	const before = feed.received.length;
	feed.socket.resume();
	const { pseudonym } = instance.students[0];
	await waitFor(() => feed.item(NODE, pseudonym)?.seq === stateOf(instance, instance.students[0]).seq, 'a slow reader gets the latest value');
	ok(feed.received.length - before < student.seq / 10, `and not one message for each event (${feed.received.length - before} of ${student.seq})`);
	student.stop();
	await feed.close();
}

/** A student and a guardian see one student, and what the roster takes away ends at once. */
async function family(instance, cookie) {
	const [first, second] = instance.students;
	for (const name of ['kid', 'parent']) {
		await instance.addUser(name);
		instance.writePassword(name);
	}
	const { kid, parent } = instance.users;
	first.jid = kid.jid;
	const roster = (rows) => { instance.writeRoster(rows); same(JSON.parse(instance.ctl('reload')).ok, true, 'a reload'); };
	roster([...instance.rosterRows(), ['7b', 'guardian', first.id, parent.jid, 'Parent']]);
	const own = `student/${first.pseudonym}/activity.event_count`, names = 'class/7b/_roster';
	const feeds = {};
	for (const [who, user] of Object.entries({ kid, parent })) {
		const feed = feeds[who] = await new Feed(instance, await signIn(instance, user)).opened;
		const { nodes } = await feed.answer({ op: 'nodes' });
		ok(nodes.includes(own) && nodes.every((n) => n.startsWith(`student/${first.pseudonym}/`)), `${who}: nodes lists what is about the student alone`);
		same((await feed.subscribe(own)).op, 'subscribed', `${who}: subscribes to it`);
		await waitFor(() => feed.item(own, 'current')?.seq === stateOf(instance, first).seq, `${who}: the item`);
		for (const node of [NODE, names, `student/${second.pseudonym}/activity.event_count`])
			same((await feed.subscribe(node)).code, 'forbidden', `${who}: ${node.split('/', 1)} of others is forbidden`);
	}
	const teacher = await new Feed(instance, cookie).opened;
	for (const node of [own, names, NODE]) same((await teacher.subscribe(node)).op, 'subscribed', 'the teacher: the student, the names and the class');
	await waitFor(() => teacher.item(names, first.pseudonym)?.state.name === first.name && teacher.item(NODE, first.pseudonym), 'the names');

	roster(instance.rosterRows());
	same(await feeds.parent.message((m) => m.op === 'revoked', 'the end for the guardian'), { op: 'revoked', node: own, deleted: false }, 'a guardian no more: the subscription ends');
	same((await feeds.parent.subscribe(own)).code, 'forbidden', 'and cannot be had again');
	same((await feeds.kid.answer({ op: 'ping' })).op, 'pong', 'the student goes on');
	ok(!feeds.kid.received.some((m) => m.op === 'revoked'), 'and was told nothing');

	roster(instance.rosterRows().filter((r) => r[2] !== first.id));
	for (const feed of [feeds.kid, teacher])
		same(await feed.message((m) => m.op === 'revoked', 'the end of the student'), { op: 'revoked', node: own, deleted: true }, 'the student leaves the roster: the node is no more');
	await waitFor(() => ![names, NODE].some((n) => teacher.item(n, first.pseudonym)), 'the items in the class to go');
	const from = teacher.received.length;
	const student = new Student(instance.events, first.user_id).connect();
	await waitFor(() => student.live, 'the student to type on');
	student.type();
	await waitFor(() => student.acked === student.seq, 'the events');
	same((await teacher.answer({ op: 'ping' })).op, 'pong', 'the student types on');
	ok(!JSON.stringify(teacher.received.slice(from)).includes(first.pseudonym), 'and nobody is told');
	same((await feeds.kid.answer({ op: 'nodes' })).nodes, [], 'the student sees nothing any more');
	student.stop();
	roster(instance.rosterRows());
	await waitFor(() => teacher.item(NODE, first.pseudonym)?.seq === stateOf(instance, first).seq, 'the student to be back with what was typed meanwhile');
	ok(true, 'back on the roster, the item is there again');
	await Promise.all([feeds.kid, feeds.parent, teacher].map((f) => f.close()));
	delete first.jid;
	roster(instance.rosterRows());
}

async function revocation(instance, { feed, late }) {
	const from = feed.received.length;
	instance.writeRoster(instance.rosterRows().map((r) => (r[1] === 'teacher' ? ['7b', 'teacher', 't2', `other@${instance.domain}`, 'Other'] : r)));
	instance.ctl('reload');
	for (const f of [feed, late]) {
		const m = await f.message((x) => x.op === 'revoked', 'the revocation', f === feed ? from : 0);
		same(m, { op: 'revoked', node: NODE, deleted: false }, 'a roster that takes the class away ends the subscription');
	}
	const count = feed.received.length;
	const student = new Student(instance.events, 'u2').connect();
	await waitFor(() => student.live, 'a student');
	student.type();
	await waitFor(() => student.acked === student.seq, 'an event after it');
	same((await feed.subscribe(NODE)).code, 'forbidden', 'and it cannot be had again');
	same(feed.received.slice(count).filter((m) => m.op === 'items'), [], 'nothing came after the revocation');
	student.stop();
	instance.writeRoster();
	instance.ctl('reload');
	same((await feed.subscribe(NODE)).op, 'subscribed', 'until the roster gives it back');
}

async function ends(instance, { feed, late }, cookie) {
	const other = await new Feed(instance, await signIn(instance, instance.users.teacher)).opened;
	await ask(instance, 'POST', '/auth/logout', { cookie });
	same([(await feed.closed).code, (await late.closed).code], [1008, 1008], 'log-out closes the feeds of the session');
	same((await other.answer({ op: 'ping' })).op, 'pong', 'and not those of another');
	same((await ask(instance, 'GET', '/webapi/courselist/', { cookie })).status, 401, 'the cookie is worth nothing then');
	const audit = instance.ctl('audit', '--events');
	ok(/"what":"subscribed".*"door":"web"/.test(audit) || /"door":"web".*"what":"subscribed"/.test(audit), 'the audit file has the subscription');
	const lines = audit.trim().split('\n').map((l) => JSON.parse(l));
	for (const what of ['revoked', 'unsubscribed', 'refused'])
		ok(lines.some((l) => Object.values(l).includes(what) && (what === 'refused' || l.door === 'web')), `and: ${what}`);
	await other.close();
}

await withInstance('feed', { server: 'none', students: STUDENTS }, async (instance) => {
	const cookie = await signIn(instance, instance.users.teacher);
	const readers = await whole(instance, cookie);
	await requests(instance, cookie);
	await refusals(instance, cookie);
	await slow(instance, cookie);
	await family(instance, cookie);
	await revocation(instance, readers);
	await ends(instance, readers, cookie);
	await waitFor(() => instance.status().web.feed_sockets === 0, 'all feeds are gone');
});
