// SPDX-License-Identifier: MIT
// admin: what an admin does from any XMPP client (XEP-0050), and a reader of the
// configuration, who loses access by a reload: through each server.
import * as fs from 'node:fs';
import { Reader, xml } from './lib/reader.mjs';
import { jsonLines, ok, same, waitFor, withServers } from './lib/rig.mjs';
import { Student } from '../../tools/class.mjs';

const COMMANDS = 'http://jabber.org/protocol/commands';

/** Runs a command, or goes on with one; answers the <command/>. */
async function command(who, service, node, { sessionid, fields } = {}) {
	const form = fields && xml('x', { xmlns: 'jabber:x:data', type: 'submit' },
		...Object.entries(fields).map(([k, v]) => xml('field', { var: k }, xml('value', {}, v))));
	const r = await who.iq('set', service, xml('command', { xmlns: COMMANDS, node, ...(sessionid && { sessionid, action: 'complete' }) }, ...(form ? [form] : [])));
	return r.getChild('command', COMMANDS);
}

const fieldsOf = (c) => Object.fromEntries(c.getChild('x', 'jabber:x:data').getChildren('field').map((f) => [f.attrs.var, f.getChildText('value')]));

await withServers('admin', { students: 3 }, async (instance) => {
	const service = instance.components.activity;
	const node = `class/${instance.class}/activity.event_count`;
	const admin = await instance.addUser('admin'), head = await instance.addUser('head');
	const conf = instance.at('lectern.conf');
	const plain = fs.readFileSync(conf, 'utf8').replace('xmpp {', `xmpp {\n  admins = { "${admin.jid}" }`);
	const configure = (text) => fs.writeFileSync(conf, text, { mode: 0o600 });
	configure(`${plain}\nreader "${head.jid}" { classes = { "${instance.class}" } }\n`);
	same(JSON.parse(instance.ctl('reload')), { ok: true }, 'an admin and a reader are configured');

	const [boss, reader, teacher] = await Promise.all([admin, head, instance.users.teacher].map((u) => new Reader(instance, u).start()));
	const s = new Student(instance.events, instance.students[0].user_id).connect();
	s.type();
	await waitFor(() => s.live && s.acked === s.seq, 'acks');
	for (const r of [reader, teacher]) {
		await r.presence(service);
		await r.subscribe(service, node);
		await r.until(node, instance.students[0].pseudonym, (p) => p.state.count === s.seq);
	}
	ok(true, 'the reader sees the class as its teacher does');

	same((await boss.discoItems(service, COMMANDS)).map((i) => i.node).sort(), ['components', 'kick', 'reload', 'status'],
		'the admin is offered the admins\' commands');
	same(await boss.refusal(boss.subscribe(service, node)), 'not-allowed', 'but sees no student');
	same(await teacher.refusal(command(teacher, service, 'kick')), 'forbidden', 'a teacher is no admin');
	const status = await command(boss, service, 'status');
	ok(Object.keys(fieldsOf(status)).length > 3 && !status.toString().includes('testcase'), 'status tells much, and nothing of a student');

	const asked = await command(boss, service, 'kick');
	same(asked.attrs.status, 'executing', 'kick asks whom');
	await command(boss, service, 'kick', { sessionid: asked.attrs.sessionid, fields: { accountjid: instance.users.teacher.jid } });
	await waitFor(() => teacher.ended.includes(node), 'the notice');
	ok(true, 'the kicked subscriber is told');
	same(instance.status().xmpp[0].subscriptions, 1, 'the other one stays');

	configure(plain);
	const done = await command(boss, service, 'reload');
	same(done.attrs.status, 'completed', 'the admin reloads the configuration');
	await waitFor(() => reader.ended.includes(node), 'the end of the reader');
	s.type();
	await waitFor(() => s.acked === s.seq, 'acks');
	const before = reader.received.length;
	ok(await reader.refusal(reader.retrieve(service, node)) !== null, 'the reader who was taken out reads nothing more');
	same(reader.received.length, before, 'and gets nothing more');

	configure(`${plain}\nno_such_option = 1\n`);
	const wrong = await command(boss, service, 'reload');
	ok(/lectern\.conf:\d+/.test(wrong.toString()), 'a mistake in it is answered with file and line');
	configure(plain);
	same(instance.ctl('audit', '--reader', head.jid), '', 'the audit file knows of no access of the reader now');
	const did = () => jsonLines(fs.readFileSync(instance.at('audit.jsonl'), 'utf8')).filter((l) => l.reader === head.jid).map((l) => l.what);
	await waitFor(() => did().includes('refused'), 'the audit lines'); // they are written behind
	ok(['subscribed', 'revoked', 'refused'].every((what) => did().includes(what)), 'and when there was one, how it ended and what was tried after it');
	s.stop();
	for (const r of [boss, reader, teacher]) await r.stop();
});
