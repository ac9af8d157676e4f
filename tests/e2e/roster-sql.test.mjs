// SPDX-License-Identifier: MIT
// roster-sql: a daemon whose roster and users are in SQLite or PostgreSQL: a change there is in force without
// a reload; one that is wrong, or a database that is away, leaves the old one in force and is told.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Student } from '../../tools/class.mjs';
import { ROSTERS } from '../../tools/rosters.mjs';
import { trySignIn } from '../../tools/feed.mjs';
import { ok, same, waitFor, withEach } from './lib/rig.mjs';

const options = { server: 'none', students: 3 };
const students = (i) => i.status().roster.students;

/** The rows with one student more, who may not be the first to be known by that JID. */
const more = (i, jid = '') => [...i.rosterRows(), [i.class, 'student', 'tc-testcase-late', jid, 'Late']];

async function changes(i) {
	const { roster } = i.status();
	same([roster.backend, roster.students, roster.classes], [i.roster.name, 3, 1], 'the roster is read at the start');
	i.writeRoster(more(i));
	await waitFor(() => students(i) === 4, 'the student who came');
	ok(true, 'a student who comes is there without a reload');
	i.writeRoster([...more(i, i.users.teacher.jid)]);
	await waitFor(() => i.status().roster.reload_error, 'the error');
	ok(i.status().roster.reload_error.includes('the jid is a'), 'a wrong row is named');
	same(students(i), 4, 'and the old roster stays');
	i.writeRoster(i.rosterRows());
	await waitFor(() => students(i) === 3, 'the student who left');
	ok(!i.status().roster.reload_error, 'a right one is in force, and no error is left');
}

async function away(i) {
	const db = i.database;
	await db.kill();
	let refused = '';
	try { i.ctl('reload'); } catch (e) { refused = `${e.stdout}${e.stderr}`; }
	ok(/PostgreSQL/.test(refused), 'a reload while the server is away is refused, and says why');
	ok(!refused.includes(db.password), 'without the password');
	same(students(i), 3, 'the roster stays');
	await db.start();
	i.writeRoster(more(i));
	await waitFor(() => students(i) === 4, 'what changed after the server was back');
	ok(true, 'what changes after it is back is noticed');
	db.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lectern'");
	i.writeRoster(i.rosterRows());
	await waitFor(() => students(i) === 3, 'what changed while the connection was cut');
	ok(true, 'and so is what changed while the connection was cut');
	ok(!i.lecternd.tail().includes(db.password), 'the log holds no password');
}

const states = (i, id) => i.ctl('states').split('\n').filter((l) => l.includes(`STUDENT:${id}`)).length;

async function type(i, user) {
	const s = new Student(i.events, user).connect();
	await waitFor(() => s.live, `${user} to be live`);
	s.type();
	await waitFor(() => s.acked === s.seq, `the acks of ${user}`);
	s.stop();
}

async function restart(i) {
	await i.lecternd.stop();
	await i.startLecternd();
}

/** The daemon starts before the database does. */
async function early(i) {
	const db = i.database;
	const first = i.rosterRows()[1][2];
	i.writeRoster(i.rosterRows());
	db.sql(`INSERT INTO lectern_identities VALUES ('tc-testcase-alias', '${first}')`);
	await waitFor(() => i.ctl('roster', 'show', '--student', 'tc-testcase-alias').includes(first), 'the alias');
	await waitFor(() => students(i) === 3 && !i.status().roster.reload_error, 'the roster of the start');
	i.ctl('reload');
	await db.kill();
	await restart(i);
	const { roster } = i.status();
	same([roster.students, roster.classes], [3, 1], 'a daemon that starts while the database is away has the roster as it was');
	ok(/^\d{4}-.*Z$/.test(roster.copy_of) && /a copy of .* is in force until it can: PostgreSQL: /.test(roster.reload_error), `and its status says so: ${roster.reload_error}`);
	ok(!roster.reload_error.includes(db.password), 'without the password');
	same((fs.statSync(path.join(i.state, 'roster.copy')).mode & 0o777).toString(8), '600', 'nobody else can read the copy');
	await type(i, 'alias');
	ok(states(i, first) > 0 && states(i, 'tc-testcase-alias') === 0, 'events that come meanwhile are kept under the roster\'s id of who sends them');
	await db.start();
	await waitFor(() => i.status().roster.copy_of === null, 'the roster of the database');
	same(i.status().roster.reload_error, null, 'when the database is there its roster is in force, without a reload');
	i.writeRoster(more(i));
	await waitFor(() => students(i) === 4, 'a student more');
	ok(true, 'and its changes are noticed');
	await db.kill();
	await i.lecternd.stop();
	fs.rmSync(path.join(i.state, 'roster.copy'));
	let refused = '';
	try { await i.startLecternd(); } catch (e) { refused = i.lecternd.tail(); }
	ok(/cannot start: .*PostgreSQL: .*; and there is no copy of it in/.test(refused), 'without a copy it does not start: it could not tell who is who');
	await db.start();
	await i.startLecternd();
	same(students(i), 4, 'and starts once the database is there');
}

/** What an administrator does with lecternctl. */
async function administered(i) {
	const csv = i.at('other.csv');
	ROSTERS.csv.write(csv, [...i.rosterRows(), [i.class, 'student', 'tc-testcase-imported', '', "Imp, O'Rted"]]);
	i.ctl('roster', 'import', '--backend', 'csv', '--file', csv);
	await waitFor(() => students(i) === 4, 'the imported student');
	ok(true, 'what lecternctl imports is in force without a reload');
	let again = '';
	try { i.ctl('roster', 'init'); } catch (e) { again = `${e.stdout}${e.stderr}`; }
	ok(/already exists/.test(again), 'tables that are there are not made again');

	const { teacher } = i.users;
	const status = async (password) => (await trySignIn(i, teacher.jid, password)).json.status;
	same([await status(teacher.password), await status('guess')], ['authorized', 'unauthorized'], 'who signs in is found in the database');
	fs.writeFileSync(i.at('teacher.password'), 'another one\n');
	i.writePassword('teacher');
	same([await status('another one'), await status(teacher.password)], ['authorized', 'unauthorized'], 'and a password that is changed there counts at once');
	i.ctl('passwd', '--delete', 'teacher');
	same(await status('another one'), 'unauthorized', 'who is taken out cannot sign in');
}

await withEach('roster-sql', [
	['sqlite', { ...options, roster: 'sqlite', auth: ['sqlite'] }],
	['postgres', { ...options, roster: 'postgres', auth: ['postgres'] }],
], async (i) => {
	await changes(i);
	await administered(i);
	i.writeRoster(i.rosterRows());
	await waitFor(() => students(i) === 3, 'the roster of the start');
	if (i.database) await away(i);
	if (i.database) await early(i);
});
