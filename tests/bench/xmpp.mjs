// SPDX-License-Identifier: MIT
// xmpp: what an item costs the XMPP server and lecternd: a class of 30 that sends
// 5 events a second each, 1, 10 and 100 teachers, with and without digest, beside
// the baseline: a bare component that sends messages of the same size through the
// same server to the same clients. What counts is CPU time of the server's process.
import { keystroke, Student } from '../../tools/class.mjs';
import { waitFor } from '../../tools/instance.mjs';
import { bench, cpu, end, instance, median, pause, spread } from './common.mjs';
import { RawClient, RawComponent } from './raw.mjs';

const STUDENTS = 30;
const RATE = 5;        // events a second and student
const DIGEST_MS = 1000;
const TEACHERS = [1, 10, 100];

const seconds = () => (bench.smoke ? 1 : 6);
const fanouts = () => (bench.smoke ? [1, 3] : TEACHERS);

/** CPU of both processes and what the clients counted, while `during` runs. */
async function measured(d, clients, what, during) {
	const sum = (f) => clients.reduce((n, c) => n + f(c), 0);
	const before = { server: cpu(d.server.pid), ours: d.lecternd.alive ? cpu(d.lecternd.pid) : 0, n: sum((c) => c[what].n), messages: sum((c) => c.messages.n), bytes: sum((c) => c.bytes) };
	await during();
	// Whatever is under way arrives: nothing new for a while.
	for (let last = -1; last !== sum((c) => c[what].n);) { last = sum((c) => c[what].n); await pause(bench.smoke ? 300 : 1200); }
	return {
		n: sum((c) => c[what].n) - before.n, messages: sum((c) => c.messages.n) - before.messages, bytes: sum((c) => c.bytes) - before.bytes,
		server: cpu(d.server.pid) - before.server, ours: d.lecternd.alive ? cpu(d.lecternd.pid) - before.ours : 0,
	};
}

/** Calls `each(k)` for student k, evenly spread, each student RATE times a second. */
async function paced(each) {
	const ticks = seconds() * RATE * STUDENTS, start = performance.now();
	for (let i = 0; i < ticks; i++) {
		await each(i % STUDENTS);
		const early = start + ((i + 1) * 1000) / (RATE * STUDENTS) - performance.now();
		if (early > 0) await pause(early);
	}
}

async function type(students) {
	await paced((k) => students[k].send(keystroke('abcdefghij'[k % 10], students[k].doc, Date.now())));
	await waitFor(() => students.every((s) => s.acked === s.seq), 'acks');
}

/** As many messages as the class makes items, at the same pace, of so many bytes. */
async function chatter(component, clients, bytes) {
	const filler = 'x'.repeat(Math.max(1, bytes - 150));
	await paced(async () => {
		await waitFor(() => component.mayGo, 'credit', 120_000);
		for (const c of clients) component.message(c.jid, filler);
	});
}

const NODE = (d) => `class/${d.class}/activity.event_count`;
/** Where a reader subscribes: at the component, or at the server's own service. */
const places = {
	component: (d) => [d.components.activity, NODE(d)],
	server: (d) => [`pubsub.${d.domain}`, d.ctl('node', NODE(d)).trim().split('\t')[1]],
};

async function classWatched(d, clients, place, digest = 0) {
	const [service, node] = places[place](d);
	for (const c of clients) await c.subscribe(service, node, { digest, bare: place === 'server' });
	const students = d.students.map((s) => new Student(d.events, s.user_id).connect());
	await waitFor(() => students.every((s) => s.live), 'students');
	for (const s of students) s.send(keystroke('a', s.doc, Date.now()));
	await pause(2 * (digest || 200));
	const m = await measured(d, clients, 'items', () => type(students));
	students.forEach((s) => s.stop());
	for (const c of clients) await c.unsubscribe(service, node);
	return { ...m, events: STUDENTS * RATE * seconds() };
}

async function baseline(d, clients, bytes) {
	await d.lecternd.stop();
	const component = await new RawComponent().start(d, d.components.activity);
	const m = await measured(d, clients, 'bodies', () => chatter(component, clients, bytes));
	component.stop();
	await d.startLecternd();
	await d.componentsUp();
	return m;
}

/** One round of one fan-out: the component without and with digest, the baseline, the server's own service. */
async function round(school, other, n, got) {
	const { d } = school, clients = school.clients.slice(0, n);
	const plain = await classWatched(d, clients, 'component');
	const digest = await classWatched(d, clients, 'component', DIGEST_MS);
	const base = await baseline(d, clients, Math.round(plain.bytes / plain.n));
	const side = await classWatched(other.d, other.clients.slice(0, n), 'server');
	const cost = base.server / base.n;
	const push = (key, value) => (got[key] ??= []).push(value);
	push('item without digest', plain.server / plain.n / cost);
	push('item with digest', digest.server / digest.n / cost);
	// What a second of the class costs: with a digest fewer items say the same.
	push('class with digest', digest.server / plain.server);
	push('arrived', plain.n / (plain.events * clients.length));
	push('digest kept', digest.n / (digest.events * clients.length));
	push('items a message', plain.n / plain.messages);
	push('items a message, digest', digest.n / digest.messages);
	push('lecternd', plain.ours / plain.server);
	push('item bytes', plain.bytes / plain.n);
	push("server's service", side.server / plain.server);
	push("server's service, item", side.server / side.n / (plain.server / plain.n));
	push("server's service, arrived", side.n / (side.events * n));
	push("server's service, lecternd", side.ours / plain.ours);
	push('server items/s', plain.n / plain.server);
	push('server messages/s', base.n / base.server);
	push('lecternd items/s', plain.n / plain.ours);
	push('lecternd events/s', plain.events / plain.ours);
}

function report(n, got) {
	const line = (what, key, digits = 2) => console.log(`    ${what.padEnd(66)} ${spread(got[key], digits)}`);
	console.log(`  ${n} teacher${n > 1 ? 's' : ''}, items of ${Math.round(median(got['item bytes']))} bytes on the wire:`);
	line('server CPU of an item, digest off, in baseline messages', 'item without digest');
	line(`server CPU of an item, digest ${DIGEST_MS} ms, in baseline messages`, 'item with digest');
	line('server CPU of the class with digest, as a share of without', 'class with digest');
	line('items that arrived per event and teacher, digest off', 'arrived');
	line('the same with digest', 'digest kept');
	line('items in one message, digest off', 'items a message');
	line('the same with digest', 'items a message, digest');
	line('CPU of lecternd as a share of the server\'s, digest off', 'lecternd');
	line("server CPU of the class at the server's own service, as a share", "server's service");
	line('server CPU of an item there, in items of the component', "server's service, item");
	line('items that arrived there per event and teacher', "server's service, arrived");
	line('CPU of lecternd then, as a share', "server's service, lecternd");
	console.log(`    for sizing, this machine only: a CPU second of the server carries ${median(got['server items/s']).toFixed(0)} items (${median(got['server messages/s']).toFixed(0)} baseline messages), one of lecternd ${median(got['lecternd items/s']).toFixed(0)} items (${median(got['lecternd events/s']).toFixed(0)} events)`);
}

/** An instance whose class has so many teachers, all logged in. */
async function school(server, lines) {
	const d = await instance({ server, students: STUDENTS, lines: { '*': `  reducers = { "event_count" }\n${lines}` } });
	const clients = [];
	for (let i = 0; i < Math.max(...fanouts()); i++)
		clients.push(await new RawClient().start(d, await d.addUser(`bench${i}`)));
	d.writeRoster([...d.rosterRows(), ...clients.map((c, i) => [d.class, 'teacher', `b${i}`, d.users[`bench${i}`].jid, `Bench ${i}`])]);
	d.ctl('reload');
	return { d, clients };
}

async function onServer(server) {
	const ours = await school(server, ''), theirs = await school(server, '  pubsub = { "xmpp-server" }\n');
	const published = () => { const [{ publisher: p }] = theirs.d.status().xmpp; return p.nodes > 0 && p.nodes_waiting === 0 && p.in_flight === 0; };
	await waitFor(published, 'the nodes at the server\'s own service', 120_000);
	console.log(`\nxmpp on ${server}: ${STUDENTS} students, ${RATE} events/s each, ${seconds()} s a measurement`);
	// A server that has just started is busy with itself.
	await classWatched(ours.d, ours.clients.slice(0, 1), 'component');
	await classWatched(theirs.d, theirs.clients.slice(0, 1), 'server');
	for (const n of fanouts()) {
		const got = {};
		for (let i = 0; i < bench.rounds; i++) await round(ours, theirs, n, got);
		report(n, got);
	}
	for (const s of [ours, theirs]) {
		s.clients.forEach((c) => c.stop());
		await end(s.d);
	}
}

export async function xmpp() {
	for (const server of bench.servers) await onServer(server);
}
