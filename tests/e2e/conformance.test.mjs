// SPDX-License-Identifier: MIT
// conformance: the conversations of tests/conformance, word for word, through a
// real XMPP server. The README there says how they are written; each is played
// by a daemon that knows nothing of the ones before.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Reader, xml } from './lib/reader.mjs';
import { ok, waitFor, withServers } from './lib/rig.mjs';
import { ROOT } from '../../tools/instance.mjs';
import { Student } from '../../tools/class.mjs';

const DIR = path.join(ROOT, 'tests', 'conformance');
const SERVICE = 'lectern.school.test';
const DESK = 'desk';
const PEOPLE = ['teacher', 'second', 'other', 'parent', 'stranger', 'admin'];
const OPTIONS = `admins = { "admin@school.test" }
	contact = { "mailto:admin@school.example", "xmpp:admin@school.example" }
	privacy_policy = "https://school.example/privacy"`;
const STATE = ['journal', 'states.snapshot', 'subscriptions'];

// Requests that never reach the service, by server, file and id: neither they nor their answers are played.
// ejabberd 23.01 leaves all of them to the service.
const NOT_THROUGH_A_SERVER = [
	['prosody', 'core.conv', 'c6', 'the server itself refuses a request without a child (RFC 6120 §8.2.3)'],
	['prosody', 'core.conv', 'c7', 'the server itself refuses a request with two children (RFC 6120 §8.2.3)'],
];

// ---- the conversations ----

/** The steps of a file in sections: [{title, steps: [{line, kind, who, text}]}]. */
function parse(file) {
	const sections = [];
	let step = null;
	fs.readFileSync(path.join(DIR, file), 'utf8').split('\n').forEach((text, i) => {
		if (/^[ \t]/.test(text) && step) {
			step.text += `\n${text}`;
		} else if (text.startsWith('## ')) {
			sections.push({ title: text.slice(3), steps: [] });
			step = null;
		} else if (text.trim() === '' || text.startsWith('#')) {
			step = null;
		} else {
			const m = /^(?:([CS]) ([a-z]+(?:\/\w+)?): |(!) )(.*)$/.exec(text);
			if (!m) throw new Error(`${file}:${i + 1}: not a step: ${text}`);
			step = { line: i + 1, kind: m[1] ?? m[3], who: m[2], text: m[4] };
			sections.at(-1).steps.push(step);
		}
	});
	return sections;
}

/** One stanza as an element, within a stream as a client has it. */
function stanzaOf(text) {
	let found = null;
	const parser = new xml.Parser();
	parser.on('element', (e) => { found = e; });
	parser.on('error', (e) => { throw e; });
	parser.write(`<stream xmlns='jabber:client'>${text}`);
	if (!found) throw new Error(`no stanza: ${text}`);
	return found;
}

// ---- comparing ----

// What a server may put on a stanza, and what need not be named.
const OF_THE_STANZA = ['from', 'to', 'xml:lang'];

const attributes = (e) => Object.entries(e.attrs).filter(([name]) => !/^xmlns(:|$)/.test(name));
const textOf = (e) => e.children.filter((c) => typeof c === 'string').join('');

function attributesFit(want, got, top) {
	return attributes(want).every(([name, value]) => got.attrs[name] !== undefined && (value === '*' || value === got.attrs[name])) &&
		attributes(got).every(([name]) => want.attrs[name] !== undefined || (top && OF_THE_STANZA.includes(name)));
}

function textFits(want, got) {
	if (want.trim() === '') return got.trim() === '';
	return want === '*' || want === got;
}

function fits(want, got, top = true) {
	if (want.getName() !== got.getName() || want.getNS() !== got.getNS()) return false;
	if (!attributesFit(want, got, top) || !textFits(textOf(want), textOf(got))) return false;
	const [w, g] = [want.getChildElements(), got.getChildElements()];
	const etc = w.findIndex((e) => e.name === 'etc');
	const n = etc < 0 ? w.length : etc;
	return (etc < 0 ? g.length === n : g.length >= n) &&
		w.slice(0, n).every((e, i) => e.name === '_' || fits(e, g[i], false));
}

// ---- people ----

/** A session that keeps what the service sends it, in order. */
class Person extends Reader {
	constructor(instance, name, resource) {
		super(instance, instance.users[name], resource);
		this.resource = resource;
		this.heard = [];
		this.barriers = 0;
	}

	/** Asking for the contacts makes the desk the session that is told about subscriptions
	 *  to presence (RFC 6121 §2.1.3, §3.1.6); ejabberd tells it to available ones only. */
	async start() {
		await super.start();
		if (this.resource !== DESK) return this;
		await this.iq('get', undefined, xml('query', { xmlns: 'jabber:iq:roster' }));
		await this.available();
		return this;
	}

	/** A request to subscribe to presence leaves in the account's name (RFC 6121 §3.1.2), so its
	 *  answer is the one stanza to a bare JID that is for a step. */
	onStanza(stanza) {
		const { from = '', to = '', id = '' } = stanza.attrs;
		const mine = to.includes('/') || stanza.is('presence');
		if (from.split('@').at(-1) === SERVICE && mine && !id.startsWith('barrier-')) this.heard.push(stanza);
	}

	async hear() {
		await waitFor(() => this.heard.length > 0, `a stanza for ${this.jid}`, 15_000);
		return this.heard.shift();
	}

	/** All that the service sent before it answers has arrived then. */
	barrier() {
		const ping = xml('iq', { type: 'get', to: SERVICE, id: `barrier-${++this.barriers}` }, xml('ping', { xmlns: 'urn:xmpp:ping' }));
		return this.client.iqCaller.request(ping, 15_000);
	}
}

// ---- one conversation ----

class Conversation {
	constructor(instance, file) {
		Object.assign(this, { instance, file, sessions: new Map(), students: new Map(), skipped: new Set() });
	}

	fill(text) {
		return text.replace(/\{([^}]*)\}/g, (all, name) => {
			const [person, resource] = name.split('/');
			const names = {
				service: SERVICE, server: this.instance.domain,
				counts: `class/${this.instance.class}/activity.event_count`, names: `class/${this.instance.class}/_roster`,
			};
			if (PEOPLE.includes(person)) return this.instance.users[person].jid + (resource ? `/${resource}` : '');
			const value = names[name] ?? this.instance.students[Number(name) - 1]?.pseudonym;
			if (value === undefined) throw new Error(`${all} stands for nothing`);
			return value;
		});
	}

	async session(who) {
		const [name, resource = DESK] = who.split('/');
		const key = `${name}/${resource}`;
		if (!this.sessions.has(key)) this.sessions.set(key, await new Person(this.instance, name, resource).start());
		return this.sessions.get(key);
	}

	async world(what) {
		const [, number] = /^event (\d)$/.exec(what) ?? [];
		if (number) await this.event(this.instance.students[number - 1].user_id);
		else if (what === 'roster without teacher') setRoster(this.instance, false);
		else if (what === 'roster') setRoster(this.instance, true);
		else throw new Error(`what is "${what}"?`);
	}

	async event(user) {
		if (!this.students.has(user)) this.students.set(user, new Student(this.instance.events, user).connect());
		const student = this.students.get(user);
		student.send({ event: 'keystroke' });
		await waitFor(() => student.acked === student.seq, `the acknowledgement of ${user}'s event`);
	}

	async hears(who, text) {
		const person = await this.session(who);
		if (text === 'nothing') {
			await person.barrier();
			if (person.heard.length > 0) throw new Error(`${who} received ${person.heard.shift()}`);
			return;
		}
		const got = await person.hear();
		if (!fits(stanzaOf(this.fill(text)), got)) throw new Error(`\nexpected ${this.fill(text)}\ngot      ${got}`);
	}

	async says(who, text) {
		const stanza = stanzaOf(this.fill(text));
		stanza.attrs.to ??= SERVICE;
		const person = await this.session(who);
		await person.client.send(stanza);
		// Nothing answers a message or a presence, and what the world does next takes another road.
		if (stanza.name !== 'iq') await person.barrier();
	}

	/** Whether the step belongs to an exchange of the table above. */
	leavesOut({ kind, text }) {
		if (kind === '!') return false;
		const id = /^<iq[^>]* id='([^']*)'/.exec(text)?.[1];
		const row = NOT_THROUGH_A_SERVER.find(([s, f, i]) => s === this.instance.server.name && f === this.file && i === id);
		if (row) this.skipped.add(row);
		if (row && kind === 'C') console.log(`# not through a server: ${this.file} ${id}: ${row[3]}`);
		return row !== undefined;
	}

	async step(step) {
		if (step.kind === '!') await this.world(step.text);
		else if (step.kind === 'C') await this.says(step.who, step.text);
		else await this.hears(step.who, step.text);
	}

	/** Plays a section; one that fails ends there, and the next begins with nothing unheard. */
	async section({ title, steps }) {
		let line;
		let left = 0;
		try {
			for (const step of steps) {
				line = step.line;
				if (this.leavesOut(step)) left++;
				else await this.step(step);
			}
			if (left < steps.length) ok(true, `${this.file}: ${title}`);
			return true;
		} catch (e) {
			ok(false, `${this.file}: ${title}`);
			console.log(`${this.file}:${line}: ${e.message}`.replace(/^/gm, '# '));
			for (const person of this.sessions.values()) {
				await person.barrier().catch(() => {});
				person.heard = [];
			}
			return false;
		}
	}

	async play() {
		let failed = 0;
		for (const section of parse(this.file)) failed += !await this.section(section);
		for (const [name, session] of this.sessions) {
			await session.barrier();
			if (session.heard.length > 0) ok(false, `${this.file}: ${name} is left with ${session.heard.join('\n# ')}`);
		}
		const left = this.instance.status().xmpp[0].subscriptions;
		for (const row of NOT_THROUGH_A_SERVER)
			if (row[0] === this.instance.server.name && row[1] === this.file && !this.skipped.has(row)) ok(false, `${row[2]} of the table is in ${this.file}`);
		ok(failed === 0 && left === 0, `${this.file}: no section failed, and what it subscribed to is taken back`);
	}

	async end() {
		for (const student of this.students.values()) student.stop();
		for (const session of this.sessions.values()) await session.stop();
	}
}

// ---- the world ----

/** Class 7b as the conversations know it; 8a has another teacher. */
function setRoster(instance, withTeacher) {
	const { teacher, second, other, parent } = instance.users;
	const [first] = instance.students;
	instance.writeRoster([
		...(withTeacher ? [[instance.class, 'teacher', 't1', teacher.jid, 'Teacher']] : []),
		[instance.class, 'teacher', 't2', second.jid, 'Second'],
		['8a', 'teacher', 't3', other.jid, 'Other'],
		['8a', 'student', 'v1', '', 'Student of 8a'],
		...instance.students.map((s) => [instance.class, 'student', s.id, '', s.name]),
		[instance.class, 'guardian', first.id, parent.jid, 'Parent'],
	]);
	if (instance.lecternd.alive) instance.ctl('reload');
}

/** A daemon at its very beginning, at the same server. */
async function begin(instance) {
	await instance.lecternd.stop();
	for (const name of STATE) fs.rmSync(instance.at(name), { recursive: true, force: true });
	setRoster(instance, true);
	await instance.startLecternd();
	await instance.componentsUp();
}

await withServers('conformance', { students: 3, }, async (instance) => {
	for (const name of PEOPLE) if (!instance.users[name]) await instance.addUser(name);
	const conf = instance.at('lectern.conf');
	fs.writeFileSync(conf, fs.readFileSync(conf, 'utf8').replace('xmpp {', `xmpp {\n\t${OPTIONS}`), { mode: 0o600 });
	const files = fs.readdirSync(DIR).filter((f) => f.endsWith('.conv')).sort();
	ok(files.length > 0, 'there are conversations');
	for (const file of files) {
		await begin(instance);
		const conversation = new Conversation(instance, file);
		await conversation.play();
		await conversation.end();
	}
});
