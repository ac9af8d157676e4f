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
import { RedisServer } from './redis.mjs';
import { PostgreSQL } from './postgres.mjs';
import { ROSTERS } from './rosters.mjs';
import { Service, freePorts, waitFor, write } from './service.mjs';

export { freePorts, waitFor };
export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
export const SERVERS = { prosody: Prosody, ejabberd: Ejabberd };
export const S2S_PORT = 5269;
const COMPONENTS = ['activity', 'writing'];

/** What there is to choose from: interchangeable parts by the name of the option. */
export const CHOICES = {
	server: [...Object.keys(SERVERS), 'none'],
	kvs: ['memory', 'disk', 'redis', 'redis_ephemeral'],
	pubsub: ['xmpp', 'xmpp-server', 'memory', 'redis'],
	roster: Object.keys(ROSTERS),
};

/** The name, or an error that lists those there are. */
function chosen(what, name) {
	if (!CHOICES[what].includes(name)) throw new Error(`no ${what} is called ${name}; there are ${CHOICES[what].join(', ')}`);
	return name;
}

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
	 *  server ('prosody', 'ejabberd', or 'none': nothing is published by XMPP), kvs, pubsub
	 *  (names), roster: see CHOICES,
	 *  components (the component sections, name: JID; one JID for all when not said),
	 *  auth (who checks passwords, ['file', 'xmpp'] in any order; authLines: more lines),
	 *  lines (name: more lines of that section), producers (JIDs of further components), host
	 *  (address of everything), s2s (see prosody.mjs), guests (JIDs of other servers that teach here). */
	constructor(o) {
		this.o = o;
		this.dir = path.resolve(o.dir);
		this.build = path.resolve(o.build ?? path.join(ROOT, 'build'));
		this.domain = o.domain ?? 'school.test';
		this.host = o.host ?? '127.0.0.1';
		this.students = [];
		this.users = {};
		this.server = null;
		this.serverName = chosen('server', o.server ?? 'prosody');
		this.kvs = chosen('kvs', o.kvs ?? 'memory');
		this.pubsub = (o.pubsub ?? (this.published ? ['xmpp'] : [])).map((name) => chosen('pubsub', name));
		this.roster = ROSTERS[chosen('roster', o.roster ?? 'csv')];
		this.class = this.roster.class ?? '7b';
		const overXmpp = this.pubsub.filter((name) => name.startsWith('xmpp'));
		if (!this.published && overXmpp.length > 0) throw new Error(`pubsub ${overXmpp} needs an XMPP server, and server is none`);
		this.redis = null;
		const inDatabase = this.roster.name === 'postgres' || o.auth?.includes('postgres');
		this.database = inDatabase ? new PostgreSQL({ dir: this.at('postgres'), log: this.at('postgres.log') }) : null;
		this.lecternd = new Service('lecternd', this.at('lecternd.log'));
	}

	get state() { return this.dir; }
	get published() { return this.serverName !== 'none'; }
	/** The processes that it runs. */
	get services() { return [this.lecternd, this.server, this.redis, this.database].filter(Boolean); }
	get rosterFile() { return this.roster.file && this.at(this.roster.file); }
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
		if (this.published) this.prepareServer();
		if (this.usesRedis) await this.prepareRedis();
		if (this.database) await (await this.database.prepare()).start();
		for (const user of ['teacher', 'stranger']) await this.addUser(user);
		this.makeStudents(this.o.students ?? 30);
		this.writeRoster();
		this.writeConf();
		for (const user of Object.keys(this.users)) this.writePassword(user);
	}

	// ---- XMPP server ----

	prepareServer() {
		const name = this.serverName;
		this.server = new SERVERS[name]({
			dir: this.at(name), log: this.at(`${name}.log`), host: this.host, ports: this.ports, domain: this.domain, certificates: this.dir,
			s2s: this.o.s2s,
			components: Object.entries(this.secrets).map(([jid, secret]) => ({ jid, secret })),
		});
		this.server.prepare();
	}

	// ---- Redis ----

	get usesRedis() { return [this.kvs, ...this.pubsub].some((name) => name.startsWith('redis')); }

	async prepareRedis() {
		const [port] = await freePorts(1, this.host);
		this.redis = new RedisServer({ dir: this.at('redis'), log: this.at('redis.log'), host: this.host, port, appendonly: this.o.appendonly });
		this.redis.prepare();
	}

	/** Makes an account, or finds it as it is. */
	async addUser(name, password = randomBytes(12).toString('hex')) {
		const known = this.at(`${name}.password`);
		if (fs.existsSync(known)) password = fs.readFileSync(known, 'utf8').trim();
		else write(known, password + '\n');
		await this.server?.addUser(name, password);
		this.users[name] = { jid: `${name}@${this.domain}`, password };
		return this.users[name];
	}

	// ---- roster ----

	makeStudents(n) {
		for (let i = 1; i <= n; i++)
			this.students.push({ user_id: `u${i}`, id: `tc-testcase-u${i}`, name: `Student ${i}` });
	}

	/** Rows of the roster (class, role, id, JID, name); tests change and write them again. */
	rosterRows() {
		return [
			[this.class, 'teacher', 't1', this.users.teacher.jid, 'Teacher'],
			...(this.o.guests ?? []).map((jid, i) => [this.class, 'teacher', `g${i + 1}`, jid, 'Guest']),
			...this.students.map((s) => [this.class, 'student', s.id, s.jid ?? '', s.name]),
		];
	}

	writeRoster(rows = this.rosterRows()) { this.roster.write(this.rosterFile ?? this.database, rows); }

	// ---- sign-in on the web side ----

	/** The password file is always there, whoever is asked. */
	writePassword(user) { this.ctl('passwd', user, '--password-file', this.at(`${user}.password`)); }

	authLines() {
		const backends = this.o.auth ?? ['file'];
		const xmpp = `xmpp_host = "${this.host}"\n  xmpp_port = ${this.ports.c2s}\n  xmpp_ca = "${this.at('ca.pem')}"`;
		return `  backends = { ${backends.map((b) => `"${b}"`).join(', ')} }
  file = "${this.at('passwords')}"
  domain = "${this.domain}"
  ${backends.includes('sqlite') ? `database = "${this.at('users.db')}"` : ''}
  ${backends.includes('xmpp') ? xmpp : ''}
${this.o.authLines ?? ''}`;
	}

	get feed() { return `${this.o.tls ? 'wss' : 'ws'}://${this.o.tls ? 'localhost' : this.host}:${this.ports.web}/wsapi/feed`; }

	// ---- lecternd ----

	componentLines(name) {
		const pubsub = this.o.pubsub?.filter((p) => p.startsWith('xmpp')) ?? [];
		return (pubsub.length ? `  pubsub = { ${pubsub.map((p) => `"${p}"`).join(', ')} }\n` : '') + (this.o.lines?.[name] ?? '');
	}

	writeConf() {
		const components = Object.entries(this.sections).map(([name, jid]) =>
			`component "${name}" {\n  jid = "${jid}"\n  secret_file = "${this.secretFile(jid)}"\n${this.componentLines(name)}}`).join('\n');
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
roster {
  backend = "${this.roster.name}"
${this.rosterFile ? `  file = "${this.rosterFile}"` : ''}
${this.roster.name === 'all' ? `  admins = { "${this.users.teacher.jid}" }` : ''}
}
${this.database ? `postgres {\n  ${this.database.section}\n}` : ''}
auth {
${this.authLines()}
}
kvs {
  backend = "${this.kvs}"
${this.o.kvsLines ?? ''}
}
pubsub {
  backends = { ${this.pubsub.filter((p) => !p.startsWith('xmpp')).map((p) => `"${p}"`).join(', ')} }
${this.o.pubsubLines ?? ''}
}
${this.redis ? `redis {\n${this.redis.lines}\n}` : ''}
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
		const began = performance.now();
		this.lecternd.spawn(this.bin('lecternd'), ['-c', this.at('lectern.conf')]);
		await this.lecternd.ready(() => answersHttp(this.host, this.ports.web, this.o.tls));
		this.startSeconds = (performance.now() - began) / 1000;
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
		await this.redis?.start();
		await this.startLecternd();
		if (this.published) await this.componentsUp();
		this.pseudonyms();
		return this;
	}

	async stop() {
		const results = await Promise.allSettled(this.services.map((s) => s.stop()));
		const bad = results.find((r) => r.status === 'rejected');
		if (bad) throw bad.reason;
		return results[0].value;
	}

	/** Removes the folder and what was moved out of it. */
	remove() {
		for (const s of [this.server, this.database]) if (s?.dir) fs.rmSync(s.dir, { recursive: true, force: true });
		fs.rmSync(this.dir, { recursive: true, force: true });
	}

	/** What a program needs to use the instance. */
	describe() {
		return {
			events: this.events,
			feed: this.feed,
			http: `http://${this.host}:${this.ports.web}`,
			...(this.published && { xmpp: {
				host: this.host, port: this.ports.c2s, domain: this.domain, ca: this.at('ca.pem'),
				websocket: this.server.websocket, components: this.components,
			} }),
			...(this.database && { postgres: { conninfo: this.database.conninfo, password_file: this.database.passwordFile } }),
			...(this.redis && { redis: { host: this.host, port: this.redis.site.port, password: this.redis.password } }),
			backends: { server: this.serverName, kvs: this.kvs, pubsub: this.pubsub, roster: this.roster.name },
			teacher: this.users.teacher,
			stranger: this.users.stranger,
			class: this.class,
			students: this.students.map(({ user_id, id, pseudonym }) => ({ user_id, id, pseudonym })),
			control: this.at('lectern.sock'),
			config: this.at('lectern.conf'),
			roster: this.rosterFile ?? this.database?.conninfo,
			journal: path.join(this.state, 'journal'),
			pids: { lecternd: this.lecternd.pid, ...(this.redis && { redis: this.redis.pid }), ...(this.server && { server: this.server.pid, [this.server.name]: this.server.pid }) },
		};
	}
}
