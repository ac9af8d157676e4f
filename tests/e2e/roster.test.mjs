// SPDX-License-Identifier: MIT
// roster: aliases, a backend changed by a reload, OneRoster exports put there while the daemon runs, and the
// roster of everybody who sends events.
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { ok, same, waitFor, withInstance } from './lib/rig.mjs';
import { Student } from '../../tools/class.mjs';

const lines = (text) => text.trim().split('\n').filter(Boolean).map((l) => JSON.parse(l));
const states = (instance, id) => lines(instance.ctl('states')).filter((s) => s.key.includes(`STUDENT:${id},`) || s.key.endsWith(`STUDENT:${id}`));

async function type(instance, user) {
	const s = new Student(instance.events, user).connect();
	await waitFor(() => s.live, `${user} to be live`);
	s.type();
	await waitFor(() => s.acked === s.seq, `the acks of ${user}`);
	return s;
}

/** Lets the configuration name another roster. */
function configure(instance, roster) {
	const file = instance.at('lectern.conf');
	fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace(/^roster \{[^}]*(\{[^}]*\}[^}]*)*\}$/m, `roster { ${roster} }`));
}

function reload(instance) {
	try {
		return JSON.parse(instance.ctl('reload'));
	} catch (e) {
		return JSON.parse(e.stdout);
	}
}

/** One request on the control socket, beside others. */
function asked(instance, request) {
	return new Promise((done, no) => {
		let answer = '';
		const s = net.connect(instance.at('lectern.sock'), () => s.write(`${request}\n`));
		s.on('data', (d) => { answer += d; });
		s.on('end', () => done(JSON.parse(answer)));
		s.on('error', no);
	});
}

async function aliases(instance) {
	fs.writeFileSync(instance.at('known.csv'), 'class,role,id,jid,name,alias\n7b,teacher,,t@school.example,,\n7b,student,sis-1,,Ada,tc-testcase-u1\n');
	configure(instance, `backend = "csv" file = "${instance.at('known.csv')}"`);
	same(reload(instance), { ok: true }, 'a roster with an alias is taken');
	const s = await type(instance, 'u1');
	ok(states(instance, 'sis-1').length > 0, 'events of the alias make states of the roster\'s id');
	same(states(instance, 'tc-testcase-u1'), [], 'and none of what was shown');
	const shown = JSON.parse(instance.ctl('roster', 'show', '--student', 'tc-testcase-u1'));
	same([shown.id, shown.name, shown.classes], ['sis-1', 'Ada', ['7b']], 'roster show finds the student by the alias');
	const closed = new Promise((r) => s.socket.on('close', (code) => r(code)));
	fs.writeFileSync(instance.at('known.csv'), 'class,role,id,jid,name\n7b,teacher,,t@school.example,\n7b,student,sis-1,,Ada\n');
	s.stopped = true;
	same(reload(instance), { ok: true }, 'the alias is gone');
	same(await closed, 1012, 'who would be another student now is asked to come again');
}

function export11(dir, students, cut = false) {
	const rows = [['t1', '', 'teacher', 'Tina', 'Two', 'tina'], ...students.map((s) => [s, '', 'student', 'A', 'B', s])];
	fs.mkdirSync(dir);
	const put = (name, list) => fs.writeFileSync(path.join(dir, `${name}.csv`), list.map((r) => r.join(',')).join('\n') + '\n');
	put('manifest', [['propertyName', 'value'], ['oneroster.version', '1.1'], ['file.classes', 'bulk'], ['file.users', 'bulk'], ['file.enrollments', 'bulk']]);
	put('classes', [['sourcedId', 'status', 'title'], ['c1', '', 'Maths']]);
	put('users', [['sourcedId', 'status', 'role', 'givenName', 'familyName', 'username'], ...rows]);
	put('enrollments', [['sourcedId', 'status', 'classSourcedId', 'userSourcedId', 'role'], ...rows.map((r, i) => [`e${i}`, '', 'c1', r[0], r[2]]), ['e', '', 'c1', 'nobody', 'student']]);
	if (cut) fs.truncateSync(path.join(dir, 'enrollments.csv'), fs.statSync(path.join(dir, 'enrollments.csv')).size - 12);
}

async function oneroster(instance) {
	const dir = instance.at('export');
	export11(dir, ['s1', 's2']);
	configure(instance, `backend = "oneroster" file = "${dir}" domain = "school.example"`);
	same(reload(instance), { ok: true }, 'another backend is taken by a reload');
	same([instance.status().roster.backend, instance.status().roster.students], ['oneroster', 2], 'with its students');
	ok(instance.ctl('roster', 'check').includes('enrollments.csv:5: userSourcedId names what users.csv does not have'), 'roster check names a reference that leads nowhere');
	fs.renameSync(dir, `${dir}.old`);
	export11(dir, ['s1', 's2', 's3'], true);
	ok(/enrollments.csv:\d+: fewer than 5 cells/.test(reload(instance).error), 'an export that is cut is refused with file and line');
	same(instance.status().roster.students, 2, 'and the roster before it stays');
	fs.rmSync(dir, { recursive: true });
	export11(dir, ['s1', 's2', 's3']);
	instance.lecternd.child.kill('SIGHUP');
	await waitFor(() => instance.status().roster.students === 3, 'the next export');
	ok(true, 'a whole one is read at SIGHUP');
}

async function everybody(instance) {
	configure(instance, 'backend = "all" admins = { "boss@school.example" }');
	same(reload(instance), { ok: true }, 'the roster of everybody is taken');
	const before = instance.status().roster.students;
	ok(before > 0, 'with those who sent events before');
	const s = [await type(instance, 'new1'), await type(instance, 'new2')];
	await waitFor(() => instance.status().roster.students === before + 2, 'two new students in the roster');
	ok(true, 'and those who come are in it without a reload');
	same(reload(instance), { ok: true }, 'a reload keeps them');
	same(instance.status().roster.students, before + 2, 'all of them');
	for (const one of s) one.stop();
}

/** What is asked while a large roster is read is answered before it is there. */
async function large(instance) {
	const dir = instance.at('large');
	export11(dir, [...Array(100000)].map((_, i) => `s${i}`));
	configure(instance, `backend = "oneroster" file = "${dir}" domain = "school.example"`);
	const order = [];
	const reading = asked(instance, 'reload').then((a) => order.push(['reload', a.ok]));
	await asked(instance, 'digest').then(() => order.push(['digest', true]));
	await reading;
	same(order, [['digest', true], ['reload', true]], 'reading 100,000 students holds nothing up');
	same(instance.status().roster.students, 100000, 'and in the end they are there');
}

await withInstance('roster', { server: 'none', students: 2 }, async (instance) => {
	await aliases(instance);
	await oneroster(instance);
	await everybody(instance);
	const many = await Promise.all([...Array(8)].map(() => asked(instance, 'reload')));
	same(many.map((a) => a.ok), Array(8).fill(true), 'reloads that come together are all answered');
	await large(instance);
});
