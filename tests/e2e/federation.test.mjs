// SPDX-License-Identifier: MIT
// federation: a teacher of one school reads a class of another from her own server;
// whoever is not in that school's roster, or has no certificate that counts, gets
// nothing; a link cut for a while ends in the same states.
import * as fs from 'node:fs';
import * as net from 'node:net';
import { Reader, startDashboard } from './lib/reader.mjs';
import { addressDown, addressUp, enterNetwork } from './lib/namespace.mjs';
import { ok, same, waitFor, withSchools } from './lib/rig.mjs';
import { makeCertificates, makeSelfSigned } from '../../tools/certificates.mjs';
import { Student } from '../../tools/class.mjs';
import { Prosody } from '../../tools/prosody.mjs';

// The class is in the first, the guest comes from the second, the third is nobody's.
const SETS = [['prosody', 'prosody', 'prosody'], ['prosody', 'ejabberd', 'prosody'], ['ejabberd', 'prosody', 'prosody']];

enterNetwork();

/** The class of the first school, and what must be true of who reads it. */
class Lesson {
	constructor(school) {
		this.school = school;
		this.service = school.components.activity;
		this.node = `class/${school.class}/activity.event_count`;
		this.students = school.students.map((s) => new Student(school.events, s.user_id).connect());
	}

	async type() {
		for (const s of this.students) s.type();
		await waitFor(() => this.students.every((s) => s.acked === s.seq), 'all acks');
	}

	/** The reader ends with the newest state of all. */
	async seenBy(reader, what) {
		for (const [i, s] of this.students.entries())
			await reader.until(this.node, this.school.students[i].pseudonym, (p) => p.state.count === s.seq);
		ok(true, what);
	}

	stop() { for (const s of this.students) s.stop(); }
}

async function refused({ service, node }, school, name) {
	const user = school.users[name];
	const reader = await new Reader(school, user).start();
	await reader.presence(service);
	same(await reader.refusal(reader.subscribe(service, node)), 'not-allowed', `${user.jid} is refused`);
	same(await reader.refusal(reader.subscribe(service, 'class/none/activity.event_count')), 'not-allowed', 'in the words of a node that is none');
	same(await reader.discoItems(service), [], 'sees no node names');
	ok(await reader.refusal(reader.retrieve(service, node)) !== null, 'and retrieves no items');
	same(reader.received, [], 'nothing came');
	await reader.stop();
}

// ---- cuts ----

const connects = (host, port) => new Promise((r) => {
	const s = net.connect({ host, port }, () => { s.destroy(); r(true); });
	s.on('error', () => r(false));
});

async function cuts(lesson, a, b, guest) {
	await b.server.kill();
	await lesson.type();
	await b.server.start();
	await waitFor(() => guest.subscribed, 'the dashboard to be back', 90_000);
	await lesson.seenBy(guest, 'the guest\'s server killed and started: the guest has the final states');

	await a.server.kill();
	await lesson.type();
	await a.server.start();
	await lesson.seenBy(guest, 'the class\'s server killed and started: the guest, who did nothing, has the final states');

	b.server.child.kill('SIGSTOP');
	await lesson.type();
	b.server.child.kill('SIGCONT');
	await lesson.seenBy(guest, 'the guest\'s server stopped for a while: the guest has the final states');

	addressDown(b.host);
	ok(!await connects(b.host, b.ports.s2s), 'the address of the guest\'s server is down');
	await lesson.type();
	addressUp(b.host);
	await lesson.seenBy(guest, 'and up again: the guest has the final states');
	same(guest.went_back, [], 'no version went back');
}

// ---- revocation ----

async function revocation(lesson, a, guest) {
	const { service, node } = lesson;
	const witness = await startDashboard(a, a.users.teacher, [[service, node]]);
	a.writeRoster(a.rosterRows().filter((r) => r[4] !== 'Guest'));
	a.ctl('reload');
	await waitFor(() => guest.ended.includes(node), 'the notice that the subscription ended');
	ok(true, 'the guest is taken out of the roster and told that the subscription ended');
	const before = guest.received.length;
	await lesson.type();
	await lesson.seenBy(witness, 'those who stay go on');
	// Stanzas keep their order: what was sent to the guest before this answer has arrived.
	same(await guest.discoItems(service), [], 'the guest sees no node names any more');
	same(guest.received.length, before, 'and has received nothing more');
	same(await guest.refusal(guest.subscribe(service, node)), 'not-allowed', 'and cannot subscribe again');
	ok(await guest.refusal(guest.retrieve(service, node)) !== null, 'nor retrieve items');
	a.writeRoster();
	a.ctl('reload');
	await witness.stop();
}

// ---- a wrong certificate ----

/** In the place of the second school's server one that says it is it, lets anybody say so to itself, and
 *  knows the guest's password. */
async function startImpostor(b, guest, how, make) {
	const certificates = b.at(how.replaceAll(' ', '-'));
	fs.mkdirSync(certificates, { mode: 0o700 });
	make(certificates, b.domain);
	const site = { ...b.server.site, dir: `${certificates}-server`, log: `${certificates}.log`, certificates, s2s: { ...b.server.site.s2s, anybody: true } };
	const server = new Prosody(site);
	server.prepare();
	await server.addUser(guest.jid.split('@')[0], guest.password);
	await server.start();
	return server;
}

/** Whether the first school's server has said why it does not send there. */
const says = (a, from) => /certificate/i.test(fs.readFileSync(a.server.log, 'utf8').slice(from));

async function impostor(lesson, a, b, guest, how, make) {
	const { service, node } = lesson;
	const server = await startImpostor(b, guest, how, make);
	const said = fs.statSync(a.server.log).size;
	const reader = await new Reader({ describe: () => ({ xmpp: { ...b.describe().xmpp, websocket: server.websocket } }) }, guest).start();
	await reader.available();
	const [subscribed, names, items] = await Promise.all(
		[reader.subscribe(service, node), reader.discoItems(service), reader.retrieve(service, node)].map((p) => reader.refusal(p)));
	ok(subscribed !== null, `a server whose certificate is ${how} cannot subscribe`);
	ok(names !== null, 'sees no node names');
	ok(items !== null, 'and retrieves no items');
	await lesson.type();
	await waitFor(() => says(a, said), 'the other server\'s complaint about the certificate');
	same(reader.received, [], 'nothing of the guest\'s lasting subscription came there either');
	await reader.stop();
	await server.stop();
	fs.rmSync(server.dir, { recursive: true, force: true });
}

await withSchools('federation', { students: 3, limitMs: 300_000 }, SETS, async (schools) => {
	const [a, b, c] = schools.all;
	const lesson = new Lesson(a);
	await lesson.type();
	const guest = await startDashboard(b, schools.guest, [[lesson.service, lesson.node]]);
	await lesson.seenBy(guest, 'the guest subscribes from another server and has what there was');
	await lesson.type();
	await lesson.seenBy(guest, 'and what comes');
	same((await guest.discoItems(lesson.service)).map((i) => i.node).includes(lesson.node), true, 'and sees the names of the nodes');
	await refused(lesson, b, 'stranger');
	await refused(lesson, c, 'teacher');
	await cuts(lesson, a, b, guest);
	await revocation(lesson, a, guest);

	await guest.subscribe(lesson.service, lesson.node, schools.guest.jid);
	await guest.stop();
	await b.server.stop();
	await impostor(lesson, a, b, schools.guest, 'of an unknown CA', makeCertificates);
	await impostor(lesson, a, b, schools.guest, 'self-signed', makeSelfSigned);
	await b.server.start();
	const again = await startDashboard(b, schools.guest, [[lesson.service, lesson.node]]);
	await lesson.seenBy(again, 'the right server is back: the guest has the final states');
	lesson.stop();
	await again.stop();
});
