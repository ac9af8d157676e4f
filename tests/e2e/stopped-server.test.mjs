// SPDX-License-Identifier: MIT
// stopped-server: the XMPP server is frozen, then drowned in one reader's
// requests. Ingest does not notice, memory stays bounded, and the subscribers
// end with the final states.
import * as fs from 'node:fs';
import { Reader, xml } from './lib/reader.mjs';
import { ok, replayedStates, same, waitFor, withServers } from './lib/rig.mjs';
import { Student } from '../../tools/class.mjs';

const STUDENTS = 20;
const EVENTS = Number(process.env.LECTERN_STOPPED_EVENTS ?? 8000); // while the server stands still
const GROWTH_MAX = 96 << 20;  // bytes of the daemon meanwhile, with what AddressSanitizer keeps back
const QUEUE_MAX = 8 << 20;    // bytes waiting for the server, LINK_QUEUE_MAX
const FLOOD = 3000;           // requests that one reader sends without waiting

const rss = (pid) => Number(fs.readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]) * 1024;

await withServers('stopped-server', { students: STUDENTS, logLevel: 'notice' }, async (instance) => {
	const service = instance.components.activity;
	const counts = `class/${instance.class}/activity.event_count`;
	const teacher = await new Reader(instance, instance.users.teacher).start();
	await teacher.presence(service);
	await teacher.subscribe(service, counts);
	const students = instance.students.map((s) => new Student(instance.events, s.user_id).connect());
	await waitFor(() => students.every((s) => s.live), 'the students');
	const acked = () => students.reduce((n, s) => n + s.acked, 0);
	let typing = true;
	const load = (async () => {
		while (typing) {
			for (const s of students) if (s.waiting.length < 50) s.type();
			await new Promise((r) => setTimeout(r, 40));
		}
	})();
	await waitFor(() => teacher.received.length > 2 * STUDENTS, 'the first items');

	// Nobody reads what we send, nobody answers.
	const before = { acked: acked(), rss: rss(instance.lecternd.pid) };
	process.kill(instance.server.pid, 'SIGSTOP');
	try {
		await waitFor(() => acked() - before.acked > EVENTS, 'acks while the server stands still', 120_000);
		ok(true, `${EVENTS} events are acknowledged while the server stands still`);
		const [c] = instance.status().xmpp;
		ok(c.queue <= QUEUE_MAX, `what waits for the server is bounded (${c.queue} bytes)`);
		const growth = rss(instance.lecternd.pid) - before.rss;
		ok(growth < GROWTH_MAX, `and so is memory (${growth >> 20} MiB more)`);
	} finally {
		process.kill(instance.server.pid, 'SIGCONT');
	}

	// A reader who asks and asks.
	const stranger = await new Reader(instance, instance.users.stranger).start();
	for (let i = 0; i < FLOOD; i++)
		stranger.client.send(xml('iq', { type: 'get', id: `f${i}`, to: service }, xml('query', { xmlns: 'http://jabber.org/protocol/disco#info' }))).catch(() => {});
	const during = acked();
	await waitFor(() => acked() > during + 1000, 'acks during the flood');
	ok(true, 'acks go on while a reader floods the service');
	typing = false;
	await load;
	await waitFor(() => students.every((s) => s.acked === s.seq), 'all acks', 60_000);

	const final = replayedStates(instance);
	const behind = () => instance.students.filter((s) => teacher.item(counts, s.pseudonym)?.seq !== final[`Internal,activity.event_count,STUDENT:${s.id}`].seq);
	await waitFor(() => behind().length === 0, 'final states', 90_000).catch(() => {});
	same(behind().map((s) => s.id), [], 'the subscriber ends with the final states');
	same(teacher.went_back, [], 'no version went back');
	students.forEach((s) => s.stop());
	await teacher.stop();
	await stranger.stop();
});
