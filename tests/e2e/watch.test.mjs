// SPDX-License-Identifier: MIT
// watch: `lecternctl watch`, an ordinary XMPP client on libstrophe with SCRAM and
// TLS, sees the class arrive and goes on seeing it after the daemon was killed.
import { spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { ok, same, jsonLines, waitFor, withServers } from './lib/rig.mjs';
import { Student } from '../../tools/class.mjs';

function watch(instance, user, node, ...more) {
	const { xmpp } = instance.describe();
	const out = instance.at(`watch-${user}.out`);
	const child = spawn(instance.bin('lecternctl'), ['watch', '--jid', instance.users[user].jid, '--password-file', instance.at(`${user}.password`),
		'--host', xmpp.host, '--port', String(xmpp.port), '--ca', xmpp.ca, '--service', xmpp.components.activity, ...more, node],
	{ stdio: ['ignore', fs.openSync(out, 'w'), 'pipe'] });
	const w = { child, said: '', items: () => jsonLines(fs.readFileSync(out, 'utf8').replace(/[^\n]*$/, '')) };
	child.stderr.on('data', (d) => { w.said += d; });
	w.ended = new Promise((r) => child.on('exit', (code, signal) => r({ code, signal })));
	w.newest = (id) => w.items().filter((i) => i.id === id).at(-1)?.payload;
	return w;
}

await withServers('watch', { students: 4 }, async (instance) => {
	const node = `class/${instance.class}/activity.event_count`;
	const students = instance.students.map((s) => new Student(instance.events, s.user_id).connect());
	const settle = async (w) => {
		for (const s of students) s.type();
		await waitFor(() => students.every((s) => s.acked === s.seq), 'all acks');
		await waitFor(() => students.every((s, i) => w.newest(instance.students[i].pseudonym)?.state.count === s.seq), 'the final items at the watcher');
	};

	const teacher = watch(instance, 'teacher', node);
	await settle(teacher);
	ok(true, 'the class arrives in an XMPP client');
	ok(!fs.readFileSync(`/proc/${teacher.child.pid}/cmdline`, 'utf8').includes(instance.users.teacher.password), 'the password is not among its arguments');

	await instance.lecternd.stop('SIGKILL');
	await instance.startLecternd();
	await instance.componentsUp();
	await settle(teacher);
	ok(true, 'and goes on arriving after the daemon was killed and started again');
	const seqs = new Map();
	const back = teacher.items().filter((i) => { const was = seqs.get(i.id) ?? 0; seqs.set(i.id, i.payload.seq); return i.payload.seq < was; });
	same(back, [], 'no version went back');
	teacher.child.kill('SIGINT');
	same((await teacher.ended).code, 0, 'an interrupt ends it well');

	const stranger = watch(instance, 'stranger', node, '--timeout', '30');
	const how = await stranger.ended;
	ok(how.code !== 0 && stranger.said.length > 0 && stranger.items().length === 0, 'a stranger is refused in words and sees nothing');
	fs.writeFileSync(instance.at('wrong.password'), 'not-the-password\n', { mode: 0o600 });
	const wrong = spawnSync(instance.bin('lecternctl'), ['watch', '--jid', instance.users.teacher.jid, '--password-file', instance.at('wrong.password'),
		'--host', instance.describe().xmpp.host, '--port', String(instance.ports.c2s), '--ca', instance.at('ca.pem'), '--service', instance.components.activity, '--timeout', '30', node],
	{ encoding: 'utf8' });
	ok(wrong.status !== 0 && wrong.stderr.length > 0 && !wrong.stderr.includes('not-the-password'), 'a wrong password is told in words');
	students.forEach((s) => s.stop());
});
