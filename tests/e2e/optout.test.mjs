// SPDX-License-Identifier: MIT
// optout: students who are told to stop while they type: by a reload, by a roster, by the end of an
// exception; nothing that arrives afterwards reaches the journal, and neighbours go on.
import { Student } from '../../tools/class.mjs';
import { liveStates, ok, replayedStates, same, waitFor, withInstance } from './lib/rig.mjs';

const STEP_MS = 1500;
const FORBIDDEN = 'not-to-be-kept';

/** A client of the student that types all the time and notes how it ended. */
function typist(instance, { user_id: user }, fields) {
	const s = new Student(instance.events, user, { fields }).connect();
	const timer = setInterval(() => s.live && s.type(), 20);
	s.told = [];
	s.socket.on('message', (text) => { const m = JSON.parse(text); if (m.status === 'blocklist') s.told.push(m); });
	s.ended = new Promise((r) => s.socket.on('close', (code) => { clearInterval(timer); s.stop(); r(code); }));
	return s;
}

async function rules(instance, text) {
	instance.o.config = text;
	instance.writeConf();
	same(JSON.parse(instance.ctl('reload')), { ok: true }, `a reload brings ${text.replaceAll(/\s+/g, ' ') || 'no rules'}`);
}

/** What the journal has of the student: its events in the state that counts them. */
const counted = (instance, { id }) => Object.values(liveStates(instance)).find((s) => s.key.includes('event_count') && s.key.endsWith(id))?.value.count ?? 0;

async function isStopped(instance, s, who, want, what) {
	same(await s.ended, 1000, `${what}: the connection is closed with 1000`);
	same(s.told, [want], 'after it was told in the words of the protocol');
	ok(counted(instance, who) >= s.acked, 'what was acknowledged is counted');
	const again = new Student(instance.events, who.user_id).connect();
	await waitFor(() => again.live, 'a second connection');
	const gone = new Promise((r) => again.socket.on('close', r));
	again.stopped = true;
	again.send({ event: FORBIDDEN });
	same(await gone, 1000, 'a new connection is stopped at its first event');
}

await withInstance('optout', { server: 'none', students: 4 }, async (instance) => {
	const [a, b, c, d] = instance.students;
	const witness = typist(instance, d);
	let s = typist(instance, a);
	await waitFor(() => s.acked > 10, 'acks');
	await rules(instance, 'opt_out "student:testcase-u1" { action = "DROP" }');
	await isStopped(instance, s, a, { status: 'blocklist', action: 'DROP', time_limit: 'PERMANENT', message: 'Do not send more messages to me' }, 'a rule for the student');

	s = typist(instance, b);
	await waitFor(() => s.acked > 10, 'acks');
	await rules(instance, 'opt_out "class:8a" { action = "MAINTAIN" time_limit = "DAYS" message = "Exams" }');
	ok(s.live, 'a class that nobody attends stops nobody');
	instance.writeRoster([...instance.rosterRows(), ['8a', 'teacher', 't1', instance.users.teacher.jid, 'Teacher'], ['8a', 'student', b.id, '', b.name]]);
	same(JSON.parse(instance.ctl('reload')), { ok: true }, 'the student comes into that class');
	await isStopped(instance, s, b, { status: 'blocklist', action: 'MAINTAIN', time_limit: 'DAYS', message: 'Exams' }, 'a rule for the class');

	s = typist(instance, c, { chrome_identity: { email: 'kid@blocked.edu' } });
	await waitFor(() => s.acked > 10, 'acks');
	const until = new Date(Math.ceil((Date.now() + STEP_MS) / 1000) * 1000);
	await rules(instance, `opt_out "blocked.edu" { action = "DROP" time_limit = "60000" }
opt_out "student:tc-testcase-u3" { action = "TRANSMIT" until = "${until.toISOString().replace('.000', '')}" }`);
	same(await s.ended, 1000, 'an exception ends by its date: the connection is closed');
	ok(Date.now() >= until, 'not before that');
	same(s.told.map((m) => [m.action, m.time_limit]), [['DROP', 60000]], 'by the rule behind it');

	await rules(instance, '');
	const { seq } = witness;
	await waitFor(() => witness.acked > seq, 'acks of the neighbour');
	same(witness.told, [], 'the neighbour typed on through all of it');
	witness.stop();
	s = typist(instance, a);
	await waitFor(() => s.acked > 10, 'acks');
	ok(true, 'without the rule the student may type again');
	s.stop();
	await s.ended;
	await waitFor(() => instance.status().metrics.connections === 0, 'the end of all connections');
	const kept = instance.ctl('journal', 'dump');
	ok(kept.includes('google_docs_save') && !kept.includes(FORBIDDEN), 'nothing is kept of what came after they were told to stop');
	same(liveStates(instance), replayedStates(instance), 'the states are the journal\'s fold');
});
