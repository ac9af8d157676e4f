// SPDX-License-Identifier: MIT
// instance: one whole private Lectern: certificates, XMPP server, roster,
// configuration and lecternd, on loopback, in one folder. Used by `./dev run`
// and by the end-to-end tests. Node's own modules only.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import * as tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { makeCertificates } from './certificates.mjs';
import { Ejabberd } from './ejabberd.mjs';
import { Prosody } from './prosody.mjs';
import { Service, freePorts, waitFor, write } from './service.mjs';

export { freePorts, waitFor };
export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
export const SERVERS = { prosody: Prosody, ejabberd: Ejabberd };
export const S2S_PORT = 5269;
const COMPONENTS = ['activity', 'writing'];

function secret(file) {
	if (!fs.existsSync(file)) write(file, randomBytes(32).toString('hex') + '\n');
	return fs.readFileSync(file, 'utf8').trim();
}

const answersHttp = (host, port, secure) => new Promise((r) => {
	const s = (secure ? tls : net).connect({ port, host, rejectUnauthorized: false }, () => s.write('GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n'));
	s.on('data', () => { s.destroy(); r(true); });
	s.on('error', () => r(false));
	s.on('close', () => r(false));
});

export class Instance {
	/** Options: dir, build (folder with lecternd), students, config (extra lines), listen (lines
	 *  for the listen section), identity (its lines, made by a function of the instance), tls,
	 *  server ('prosody', 'ejabberd', or 'none': states are kept and nothing is published),
	 *  components (the component sections, name: JID; one JID for all when not said),
	 *  lines (name: more lines of that section), producers (JIDs of further components), host
	 *  (address of everything), s2s (see prosody.mjs), guests (JIDs of other servers that teach here). */
	constructor(o) {
		this.o = o;
		this.dir = path.resolve(o.dir);
		this.build = path.resolve(o.build ?? path.join(ROOT, 'build'));
		this.domain = o.domain ?? 'school.test';
		this.host = o.host ?? '127.0.0.1';
		this.class = '7b';
		this.students = [];
		this.users = {};
		this.server = null;
		this.lecternd = new Service('lecternd', this.at('lecternd.log'));
	}

	get state() { return this.dir; }
	get published() { return this.o.server !== 'none'; }
	at(...names) { return path.join(this.dir, ...names); }
	get sections() { return this.o.components ?? { '*': `lectern.${this.domain}` }; }
	/** JIDs by the name of the component. */
	get components() {
		const { sections } = this;
		return Object.fromEntries(COMPONENTS.map((c) => [c, sections[c] ?? sections['*']]));
	}
	secretFile(jid) { return this.at(`${jid}.secret`); }
	get wss() { return `wss://localhost:${this.ports.web}/wsapi/in/`; }
	get tlsOptions() { return { ca: fs.readFileSync(this.at('ca.pem')) }; }
	get events() { return `ws://${this.host}:${this.ports.web}/wsapi/in/`; }

	async prepare() {
		fs.mkdirSync(this.dir, { recursive: true, mode: 0o700 });
		fs.chmodSync(this.dir, 0o711); // the server's user walks through
		const [web, c2s, component, http] = await freePorts(4, this.host);
		this.ports = { web, c2s, component, http, s2s: S2S_PORT };
		makeCertificates(this.dir, this.domain);
		this.secrets = Object.fromEntries([...Object.values(this.sections), ...(this.o.producers ?? [])].map((jid) => [jid, secret(this.secretFile(jid))]));
		secret(this.at('organisation.key'));
		secret(this.at('token.key'));
		if (this.published) await this.prepareServer();
		else this.users.teacher = { jid: `teacher@${this.domain}` };
		this.makeStudents(this.o.students ?? 30);
		this.writeRoster();
		this.writeConf();
	}

	// ---- XMPP server ----

	async prepareServer() {
		const name = this.o.server ?? 'prosody';
		const Server = SERVERS[name];
		if (!Server) throw new Error(`no XMPP server is called ${name}; there are ${Object.keys(SERVERS).join(', ')}`);
		this.server = new Server({
			dir: this.at(name), log: this.at(`${name}.log`), host: this.host, ports: this.ports, domain: this.domain, certificates: this.dir,
			s2s: this.o.s2s,
			components: Object.entries(this.secrets).map(([jid, secret]) => ({ jid, secret })),
		});
		this.server.prepare();
		for (const user of ['teacher', 'stranger']) await this.addUser(user);
	}

	/** Makes an account, or finds it as it is. */
	async addUser(name, password = randomBytes(12).toString('hex')) {
		const known = this.at(`${name}.password`);
		if (fs.existsSync(known)) password = fs.readFileSync(known, 'utf8').trim();
		else write(known, password + '\n');
		await this.server.addUser(name, password);
		this.users[name] = { jid: `${name}@${this.domain}`, password };
		return this.users[name];
	}

	// ---- roster ----

	makeStudents(n) {
		for (let i = 1; i <= n; i++)
			this.students.push({ user_id: `u${i}`, id: `tc-testcase-u${i}`, name: `Student ${i}` });
	}

	/** Rows of the roster file; tests change and write them again. */
	rosterRows() {
		return [
			[this.class, 'teacher', 't1', this.users.teacher.jid, 'Teacher'],
			...(this.o.guests ?? []).map((jid, i) => [this.class, 'teacher', `g${i + 1}`, jid, 'Guest']),
			...this.students.map((s) => [this.class, 'student', s.id, s.jid ?? '', s.name]),
		];
	}

	writeRoster(rows = this.rosterRows()) {
		const next = this.at('roster.csv.new');
		write(next, ['class,role,id,jid,name', ...rows.map((r) => r.join(','))].join('\n') + '\n');
		fs.renameSync(next, this.at('roster.csv'));
	}

	// ---- lecternd ----

	writeConf() {
		const components = Object.entries(this.sections).map(([name, jid]) =>
			`component "${name}" {\n  jid = "${jid}"\n  secret_file = "${this.secretFile(jid)}"\n${this.o.lines?.[name] ?? ''}}`).join('\n');
		write(this.at('lectern.conf'), `
organisation = "${this.domain}"
state_dir = "${this.state}"
key_file = "${this.at('organisation.key')}"
control = "${this.at('lectern.sock')}"
log_level = "${this.o.logLevel ?? 'info'}"
listen {
  address = "${this.host}"
  port = ${this.ports.web}
  allow_no_origin = true
${this.o.tls ? `  tls_certificate = "${this.at('server.crt')}"\n  tls_key = "${this.at('server.key')}"` : ''}
${this.o.listen ?? `  origins = { "http://${this.host}:${this.ports.web}", "https://good.example" }`}
}
identity {
${this.o.identity?.(this) ?? '  methods = { "testcase_auth" }'}
}
roster { file = "${this.at('roster.csv')}" }
${this.published ? `xmpp {
  host = "${this.host}"
  port = ${this.ports.component}
  server = "${this.domain}"
}
${components}` : ''}
${this.o.config ?? ''}
`);
	}

	bin(name) { return path.join(this.build, name); }

	async startLecternd() {
		this.lecternd.spawn(this.bin('lecternd'), ['-c', this.at('lectern.conf')]);
		await this.lecternd.ready(() => answersHttp(this.host, this.ports.web, this.o.tls));
	}

	/** lecternctl with this configuration; answers its standard output. */
	ctl(...args) {
		return execFileSync(this.bin('lecternctl'), [...args.slice(0, 1), ...args.slice(1), '-c', this.at('lectern.conf')],
			{ encoding: 'utf8', maxBuffer: 1 << 30, stdio: ['ignore', 'pipe', 'pipe'] });
	}

	status() { return JSON.parse(this.ctl('status')); }

	async componentsUp() {
		await waitFor(() => this.status().xmpp.every((c) => c.state === 'up'), 'the component streams');
	}

	pseudonyms() {
		const lines = this.ctl('pseudonym', ...this.students.map((s) => s.id)).trim().split('\n');
		lines.forEach((line, i) => { this.students[i].pseudonym = line.split('\t')[1]; });
	}

	async start() {
		await this.prepare();
		if (this.published) await this.server.start();
		await this.startLecternd();
		if (this.published) await this.componentsUp();
		this.pseudonyms();
		return this;
	}

	async stop() {
		const results = await Promise.allSettled([this.lecternd.stop(), this.server?.stop()]);
		const bad = results.find((r) => r.status === 'rejected');
		if (bad) throw bad.reason;
		return results[0].value;
	}

	/** Removes the folder and what was moved out of it. */
	remove() {
		if (this.server?.dir) fs.rmSync(this.server.dir, { recursive: true, force: true });
		fs.rmSync(this.dir, { recursive: true, force: true });
	}

	/** What a program needs to use the instance. */
	describe() {
		return {
			events: this.events,
			http: `http://${this.host}:${this.ports.web}`,
			xmpp: {
				host: this.host, port: this.ports.c2s, domain: this.domain, ca: this.at('ca.pem'),
				websocket: this.server?.websocket, components: this.components,
			},
			teacher: this.users.teacher,
			stranger: this.users.stranger,
			class: this.class,
			students: this.students.map(({ user_id, id, pseudonym }) => ({ user_id, id, pseudonym })),
			control: this.at('lectern.sock'),
			config: this.at('lectern.conf'),
			roster: this.at('roster.csv'),
			journal: path.join(this.state, 'journal'),
			pids: { lecternd: this.lecternd.pid, ...(this.server && { server: this.server.pid, [this.server.name]: this.server.pid }) },
		};
	}
}
