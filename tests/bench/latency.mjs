// SPDX-License-Identifier: MIT
// latency: from an event's send to the subscriber's notification, as a multiple of
// a chat message between two clients of the same server at the same time.
import { Student, keystroke } from '../../tools/class.mjs';
import { waitFor } from '../../tools/instance.mjs';
import { Reader, xml } from '../e2e/lib/reader.mjs';
import { at, bench, end, instance, pause, spread } from './common.mjs';

const RATE = 100; // events a second

/** Milliseconds of each item and of each chat message of one round. */
async function round(d, teacher, other, students) {
	const base = [], ours = [], waiting = new Map();
	const arrived = (list, key) => { if (waiting.has(key)) { list.push(performance.now() - waiting.get(key)); waiting.delete(key); } };
	teacher.onchat = (id) => arrived(base, id);
	teacher.onitem = (id, count) => arrived(ours, `${id} ${count}`);
	const events = (bench.smoke ? 1 : 15) * RATE;
	for (let i = 0; i < events; i++) {
		const k = i % students.length;
		waiting.set(`${d.students[k].pseudonym} ${students[k].seq + 1}`, performance.now());
		students[k].send(keystroke('a', 'doc', Date.now()));
		if (i % 10 === 0) {
			waiting.set(`m${i}`, performance.now());
			await other.client.send(xml('message', { to: teacher.jid, type: 'chat', id: `m${i}` }, xml('body', {}, 'x')));
		}
		await pause(1000 / RATE);
	}
	await waitFor(() => ours.length > events * 0.9, 'items');
	return { p50: at(ours, 0.5) / at(base, 0.5), p99: at(ours, 0.99) / at(base, 0.99) };
}

async function onServer(server) {
	const d = await instance({ server });
	const service = d.components.activity, node = `class/${d.class}/activity.event_count`;
	const teacher = await new Reader(d, d.users.teacher).start();
	const other = await new Reader(d, d.users.stranger).start();
	teacher.client.on('stanza', (s) => { if (s.is('message') && s.attrs.type === 'chat') teacher.onchat?.(s.attrs.id); });
	const onItem = teacher.onItem.bind(teacher);
	teacher.onItem = (n, item) => { onItem(n, item); teacher.onitem?.(item.attrs.id, teacher.item(n, item.attrs.id).state.count); };
	await teacher.presence(service);
	await teacher.subscribe(service, node);
	const students = d.students.slice(0, 10).map((s) => new Student(d.events, s.user_id).connect());
	await waitFor(() => students.every((s) => s.live), 'students');
	const rounds = [];
	for (let i = 0; i < bench.rounds; i++) rounds.push(await round(d, teacher, other, students));
	console.log(`\nlatency on ${server}: send to notification at ${RATE} events/s, digest off, as a multiple of a chat message\n  between two clients of the same server: p50 ${spread(rounds.map((r) => r.p50))}   p99 ${spread(rounds.map((r) => r.p99))}`);
	students.forEach((s) => s.stop());
	await teacher.stop();
	await other.stop();
	await end(d);
}

export async function latency() {
	for (const server of bench.servers) await onServer(server);
}
