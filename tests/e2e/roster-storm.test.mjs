// SPDX-License-Identifier: MIT
// roster-storm: the roster changes before every publish, a thousand times, under
// a hundred subscribers, of which twenty are of another school. Nobody ever receives a state that no roster since its
// publish lets them read, and in the end everybody who may read has the final states.
import * as net from 'node:net';
import { Reader, xml } from './lib/reader.mjs';
import { ok, same, waitFor, withSchools } from './lib/rig.mjs';
import { Student, keystroke } from '../../tools/class.mjs';

const ROUNDS = Number(process.env.LECTERN_ROSTERS ?? 1000);
const CLASSES = ['7a', '7b', '8 c', '9d'];
const STUDENTS = 12;
const ACCOUNTS = 16, GUESTS = 4, RESOURCES = 5;
const REDUCER = 'activity.event_count';
const nodeOf = (c) => `class/${encodeURIComponent(c)}/${REDUCER}`;
const pick = (list) => list[Math.floor(Math.random() * list.length)];

/** One request on the control socket: quicker than a program each time. */
function control(instance, request) {
	return new Promise((done, no) => {
		let answer = '';
		const s = net.connect(instance.at('lectern.sock'), () => s.write(`${request}\n`));
		s.on('data', (d) => { answer += d; });
		s.on('end', () => done(JSON.parse(answer)));
		s.on('error', no);
	});
}

/** What the roster said, version by version: sets of "class who". */
class History {
	constructor(instance) {
		this.instance = instance;
		this.versions = [];
		this.in = new Set();
	}

	toggle(key) { if (!this.in.delete(key)) this.in.add(key); }
	has(version, cls, who) { return this.versions[version].has(`${cls}|${who}`); }
	get now() { return this.versions.length - 1; }

	rows() {
		return [...this.in].map((k) => {
			const [cls, who] = k.split('|');
			return who.includes('@') ? [cls, 'teacher', who, who, 'T'] : [cls, 'student', who, '', 'S'];
		});
	}

	async take() {
		this.versions.push(new Set(this.in)); // from here on, also while it is being read
		this.instance.writeRoster(this.rows());
		const answer = await control(this.instance, 'reload');
		if (!answer.ok) throw new Error(`reload refused: ${JSON.stringify(answer)}`);
	}

	/** Whether any roster from `first` until now lets the account read the student in that class. */
	mayHaveRead(first, cls, account, student) {
		for (let v = first; v <= this.now; v++) if (this.has(v, cls, account) && this.has(v, cls, student)) return true;
		return false;
	}
}

/** One session of a teacher: checks each item the moment it arrives. */
class Witness extends Reader {
	constructor(instance, user, resource, world) {
		super(instance, user, resource);
		this.account = user.jid;
		this.world = world;
	}

	onItem(node, item) {
		super.onItem(node, item);
		const { world } = this;
		const p = this.items.get(`${node} ${item.attrs.id}`);
		const student = world.byPseudonym.get(item.attrs.id);
		const cls = CLASSES.find((c) => nodeOf(c) === node);
		world.delivered++;
		// Event n of a student was sent under roster world.sent[student][n].
		const first = world.sent.get(student)?.[p.state.count];
		if (first === undefined || !world.history.mayHaveRead(first, cls, this.account, student))
			world.leaks.push({ to: this.jid, node, item: item.attrs.id, count: p.state.count, first, now: world.history.now });
	}

	/** The nodes this session is subscribed to, as the service says (XEP-0060 §5.6). */
	async subscribed(service) {
		const r = await this.iq('get', service, xml('pubsub', { xmlns: 'http://jabber.org/protocol/pubsub' }, xml('subscriptions')));
		const all = r.getChild('pubsub').getChild('subscriptions').getChildren('subscription');
		return all.filter((s) => s.attrs.jid === this.jid).map((s) => s.attrs.node);
	}

	/** Subscribes where it may or may not; the answer must be what some roster of the time says. */
	async trySubscribe(service, cls) {
		const before = this.world.history.now;
		const refused = await this.refusal(this.subscribe(service, nodeOf(cls)));
		const { history } = this.world;
		const might = Array.from({ length: history.now - before + 1 }, (_, i) => history.has(before + i, cls, this.account));
		if (refused === null ? !might.includes(true) : !might.includes(false))
			this.world.wrong.push({ jid: this.jid, cls, refused, might });
	}
}

await withSchools('roster-storm', { students: STUDENTS, logLevel: 'warning', limitMs: 600_000 }, [['prosody', 'prosody']], async ({ all: [instance, other] }) => {
	const service = instance.components.activity;
	const history = new History(instance);
	const world = {
		history, leaks: [], wrong: [], delivered: 0,
		byPseudonym: new Map(instance.students.map((s) => [s.pseudonym, s.id])), sent: new Map(instance.students.map((s) => [s.id, []])),
	};
	const accounts = []; // each with the school whose server it uses
	for (let i = 0; i < ACCOUNTS; i++) accounts.push({ ...await instance.addUser(`t${i}`), school: instance });
	for (let i = 0; i < GUESTS; i++) accounts.push({ ...await other.addUser(`g${i}`), school: other });
	for (const { id } of instance.students) history.toggle(`${pick(CLASSES)}|${id}`);
	for (const a of accounts) for (const c of CLASSES) if (Math.random() < 0.5) history.toggle(`${c}|${a.jid}`);
	await history.take();
	const crowd = [];
	for (const a of accounts)
		crowd.push(...await Promise.all(Array.from({ length: RESOURCES }, (_, i) => new Witness(a.school, a, `r${i}`, world).start())));
	await Promise.all(crowd.map(async (w) => {
		await w.presence(service);
		for (const c of CLASSES) await w.trySubscribe(service, c);
	}));
	ok(crowd.length === accounts.length * RESOURCES, `${crowd.length} subscribers, ${GUESTS * RESOURCES} of them of another school`);

	const students = instance.students.map((s) => Object.assign(new Student(instance.events, s.user_id).connect(), { id: s.id }));
	await waitFor(() => students.every((s) => s.live), 'the students');
	const asking = new Set();
	for (let round = 0; round < ROUNDS; round++) {
		history.toggle(`${pick(CLASSES)}|${pick(accounts).jid}`);
		if (round % 3 === 0) history.toggle(`${pick(CLASSES)}|${pick(students).id}`);
		await history.take();
		const s = pick(students);
		world.sent.get(s.id)[s.seq + 1] = history.now;
		s.send(keystroke('a', 'doc', Date.now()));
		const asked = pick(crowd).trySubscribe(service, pick(CLASSES));
		asking.add(asked);
		asked.finally(() => asking.delete(asked));
		if (asking.size > 20) await Promise.race(asking);
		if (round % 10 === 9) await waitFor(() => students.every((x) => x.acked === x.seq), 'acks');
	}
	await Promise.all(asking);
	await waitFor(() => students.every((s) => s.acked === s.seq), 'the last acks');

	// What was on its way has arrived once the service has answered everybody.
	await Promise.all(crowd.map((w) => w.discoItems(service)));
	const revoked = crowd.reduce((n, w) => n + w.ended.length, 0);
	same(world.leaks, [], `nothing was delivered that no roster of its time allowed (${ROUNDS} rosters, ${world.delivered} items, ${revoked} revocations)`);
	same(world.wrong, [], 'every subscription was granted or refused as a roster of its time said');
	ok(world.delivered > ROUNDS && revoked > 0, 'and much was delivered, and much revoked');

	const wanted = []; // [session, node, pseudonym, count] of all that must have arrived in the end
	for (const w of crowd) {
		const nodes = await w.subscribed(service);
		for (const c of CLASSES.filter((x) => nodes.includes(nodeOf(x)))) {
			if (!history.has(history.now, c, w.account)) world.wrong.push({ jid: w.jid, still: c });
			for (const [i, s] of students.entries())
				if (s.seq > 0 && history.has(history.now, c, s.id)) wanted.push([w, nodeOf(c), instance.students[i].pseudonym, s.seq]);
		}
	}
	same(world.wrong, [], 'whoever still is subscribed is in the last roster');
	const missing = () => wanted.filter(([w, node, id, count]) => w.item(node, id)?.state.count !== count);
	await waitFor(() => missing().length === 0, 'final states').catch(() => {});
	same(missing().map(([w, node, id, count]) => [w.jid, node, id, count, w.item(node, id)?.state.count]), [],
		`whoever is subscribed in the end has all final states (${wanted.length})`);
	same(crowd.flatMap((w) => w.went_back), [], 'no version went back');
	students.forEach((s) => s.stop());
	await Promise.all(crowd.map((w) => w.stop()));
});
