// SPDX-License-Identifier: MIT
// signin-xmpp: the school's XMPP server knows the passwords (SCRAM over TLS), and what a
// teacher reads on the feed WebSocket is what she reads over XMPP.
import * as fs from 'node:fs';
import { ok, same, waitFor, withServers, liveStates } from './lib/rig.mjs';
import { Student } from '../../tools/class.mjs';
import { Feed, ask, signIn, trySignIn } from '../../tools/feed.mjs';
import { startDashboard } from './lib/reader.mjs';

const NODE = 'class/7b/activity.event_count';

async function passwords(instance) {
	const { teacher, stranger } = instance.users;
	const cookie = await signIn(instance, teacher);
	ok(cookie, 'the account\'s password signs in');
	same((await trySignIn(instance, 'teacher', teacher.password)).json, { status: 'authorized' }, 'also without the domain');
	same((await trySignIn(instance, teacher.jid, 'wrong')).json, { status: 'unauthorized' }, 'a wrong one does not');
	same((await trySignIn(instance, teacher.jid, stranger.password)).json, { status: 'unauthorized' }, 'nor another account\'s');
	same((await trySignIn(instance, 'nobody', 'x')).json, { status: 'unauthorized' }, 'nor is there an account of nobody');
	same((await trySignIn(instance, `teacher@elsewhere.test`, teacher.password)).json, { status: 'unauthorized' }, 'of other domains no server is asked');
	same((await trySignIn(instance, teacher.jid, 'a\nb\nc\nd')).json, { status: 'unauthorized' }, 'a password of several lines is none');
	const crowd = await Promise.all(Array.from({ length: 8 }, (_, i) => trySignIn(instance, stranger.jid, i % 4 ? stranger.password : 'wrong')));
	same(crowd.map((a) => a.json.status), crowd.map((_, i) => (i % 4 ? 'authorized' : 'unauthorized')), 'a crowd at once, each with its own answer');
	const log = fs.readFileSync(instance.lecternd.log, 'utf8');
	ok(!log.includes(teacher.password) && !log.includes(Buffer.from(`\0teacher\0${teacher.password}`).toString('base64')), 'no password in the log');
	return cookie;
}

async function sameItems(instance, cookie) {
	const feed = await new Feed(instance, cookie).opened;
	const dashboard = await startDashboard(instance, instance.users.teacher, [[instance.components.activity, NODE]]);
	await feed.subscribe(NODE);
	const students = instance.students.map((s) => new Student(instance.events, s.user_id).connect());
	await waitFor(() => students.every((s) => s.live), 'the class');
	for (let i = 0; i < 5; i++) for (const s of students) s.type();
	await waitFor(() => students.every((s) => s.acked === s.seq), 'its acknowledgements');
	const done = (r) => instance.students.every((s) => r.item(NODE, s.pseudonym)?.seq === liveStates(instance)[`Internal,activity.event_count,STUDENT:${s.id}`]?.seq);
	await waitFor(() => done(feed) && done(dashboard), 'both have the final items');
	same(instance.students.map((s) => feed.item(NODE, s.pseudonym)), instance.students.map((s) => dashboard.item(NODE, s.pseudonym)),
		'the feed and XMPP have the same items at the same seq');
	students.forEach((s) => s.stop());
	await dashboard.stop();
	return feed;
}

/** Programs that the daemon runs beside itself, as the system has them: dead ones, too. */
const children = (instance) => fs.readFileSync(`/proc/${instance.lecternd.pid}/task/${instance.lecternd.pid}/children`, 'utf8').split(' ').filter(Boolean).length;

/** The server cannot be asked: nobody is told that a password is wrong. */
async function down(instance, feed) {
	const { teacher } = instance.users;
	const conf = fs.readFileSync(instance.at('lectern.conf'), 'utf8');
	fs.writeFileSync(instance.at('lectern.conf'), conf.replace(/ {2}xmpp_ca = .*\n/, ''));
	instance.ctl('reload');
	same((await trySignIn(instance, teacher.jid, teacher.password)).status, 503, 'a certificate that nobody vouches for is not talked to');
	fs.writeFileSync(instance.at('lectern.conf'), conf);
	instance.ctl('reload');
	ok(await signIn(instance, teacher), 'with its CA it is');
	process.kill(instance.server.pid, 'SIGSTOP');
	const order = [];
	const hung = trySignIn(instance, teacher.jid, teacher.password).then((a) => order.push(a.status));
	for (let i = 0; i < 20; i++) order.push((await ask(instance, 'GET', '/health')).status);
	await hung;
	process.kill(instance.server.pid, 'SIGCONT');
	same(order, [...Array(20).fill(200), 503], 'a server that hangs is waited for, for a while, and holds up nobody else');
	same(children(instance), 0, 'no program is left behind');
	ok(await waitFor(() => signIn(instance, teacher).catch(() => null), 'a sign-in'), 'when it goes on it is asked again');
	await instance.server.stop();
	same((await trySignIn(instance, teacher.jid, teacher.password)).status, 503, 'with the server down the answer is that there is none');
	same((await feed.answer({ op: 'ping' })).op, 'pong', 'sessions and feeds live on');
	await feed.close();
}

await withServers('signin-xmpp', { auth: ['xmpp'], students: 4 }, async (instance) => {
	const cookie = await passwords(instance);
	const feed = await sameItems(instance, cookie);
	await down(instance, feed);
});
