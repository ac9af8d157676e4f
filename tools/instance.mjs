// SPDX-License-Identifier: MIT
// instance: one whole private Lectern: certificates, Prosody, roster,
// configuration and lecternd, on loopback, in one folder. Used by `./dev run`
// and by the end-to-end tests. Node's own modules only.
import { spawn, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as os from 'node:os';
import * as path from 'node:path';
import * as tls from 'node:tls';
import { fileURLToPath } from 'node:url';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const HOST = '127.0.0.1';
const READY_MS = 60_000; // longest wait for a process to come up

/** Polls until `probe` answers something true; throws `what` at the deadline. */
export async function waitFor(probe, what, ms = READY_MS) {
	const end = Date.now() + ms;
	for (;;) {
		const got = await probe();
		if (got) return got;
		if (Date.now() > end) throw new Error(`waited too long for ${what}`);
		await new Promise((r) => setTimeout(r, 15));
	}
}

/** Free loopback ports, all different: held open together, then let go. */
export async function freePorts(n) {
	const servers = await Promise.all(Array.from({ length: n }, () => new Promise((ok, no) => {
		const s = net.createServer();
		s.on('error', no);
		s.listen(0, HOST, () => ok(s));
	})));
	const ports = servers.map((s) => s.address().port);
	await Promise.all(servers.map((s) => new Promise((r) => s.close(r))));
	return ports;
}

function write(file, text, mode = 0o600) {
	fs.writeFileSync(file, text, { mode });
	fs.chmodSync(file, mode);
	return file;
}

/** A private CA and one certificate for the domain and all names below it. */
function makeCertificates(dir, domain) {
	const run = (...args) => execFileSync('openssl', args, { cwd: dir, stdio: ['ignore', 'ignore', 'pipe'] });
	const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
	if (fs.existsSync(path.join(dir, 'ca.pem'))) return;
	run('req', '-x509', ...key, '-days', '3650', '-subj', '/CN=Lectern private CA', '-keyout', 'ca.key', '-out', 'ca.pem',
		'-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign');
	run('req', ...key, '-subj', `/CN=${domain}`, '-keyout', 'server.key', '-out', 'server.csr');
	write(path.join(dir, 'server.ext'), `basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=DNS:${domain},DNS:*.${domain},DNS:localhost,IP:127.0.0.1\n`);
	run('x509', '-req', '-in', 'server.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '825', '-out', 'server.crt', '-extfile', 'server.ext');
}

function secret(file) {
	if (!fs.existsSync(file)) write(file, randomBytes(32).toString('hex') + '\n');
	return fs.readFileSync(file, 'utf8').trim();
}

/** A child process whose output goes to a file, and whose end can be awaited. */
class Service {
	constructor(name, log) { this.name = name; this.log = log; this.child = null; }

	start(command, args, options = {}) {
		const out = fs.openSync(this.log, 'a', 0o600);
		this.child = spawn(command, args, { stdio: ['ignore', out, out], ...options });
		fs.closeSync(out);
		this.ended = new Promise((r) => {
			this.child.on('error', (e) => r({ error: e }));
			this.child.on('exit', (code, signal) => r({ code, signal }));
		});
		this.ended.then((how) => { this.how = how; });
		this.how = null;
		return this;
	}

	get pid() { return this.child?.pid; }
	get alive() { return this.child !== null && this.how === null; }
	tail() { return fs.existsSync(this.log) ? fs.readFileSync(this.log, 'utf8').split('\n').slice(-15).join('\n') : ''; }

	async ready(probe) {
		await waitFor(async () => {
			if (this.how) throw new Error(`${this.name} ended at its start (${JSON.stringify(this.how)}):\n${this.tail()}`);
			return probe();
		}, `${this.name} to come up, see ${this.log}`);
	}

	async stop(signal = 'SIGTERM', ms = 20_000) {
		if (!this.alive) return this.how;
		this.child.kill(signal);
		let timer;
		const late = new Promise((r) => { timer = setTimeout(() => r(null), ms); });
		const how = await Promise.race([this.ended, late]);
		clearTimeout(timer);
		if (how === null) {
			this.child.kill('SIGKILL');
			await this.ended;
			throw new Error(`${this.name} did not end within ${ms} ms of ${signal}`);
		}
		return how;
	}
}

/** Prosody refuses to be root: then it runs as an ordinary user of the machine. */
function asUser(command, args) {
	if (process.getuid() !== 0) return [command, args];
	return ['setpriv', ['--reuid=nobody', '--regid=nogroup', '--clear-groups', command, ...args]];
}

/** Whether any user may walk to the folder; /root and the like are closed. */
function reachable(dir) {
	for (let d = dir; d !== path.dirname(d); d = path.dirname(d))
		if (fs.existsSync(d) && !(fs.statSync(d).mode & 0o001)) return false;
	return true;
}

const answersHttp = (port, secure) => new Promise((r) => {
	const s = (secure ? tls : net).connect({ port, host: HOST, rejectUnauthorized: false }, () => s.write('GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n'));
	s.on('data', () => { s.destroy(); r(true); });
	s.on('error', () => r(false));
	s.on('close', () => r(false));
});

export class Instance {
	/** Options: dir, build (folder with lecternd), students, config (extra lines), listen (lines
	 *  for the listen section), identity (its lines, made by a function of the instance), tls,
	 *  server ('prosody', or 'none': states are kept and nothing is published), components
	 *  (name: JID). */
	constructor(o) {
		this.o = o;
		this.dir = path.resolve(o.dir);
		this.build = path.resolve(o.build ?? path.join(ROOT, 'build'));
		this.domain = o.domain ?? 'school.test';
		this.class = '7b';
		this.students = [];
		this.users = {};
		this.prosody = new Service('prosody', this.at('prosody.log'));
		this.lecternd = new Service('lecternd', this.at('lecternd.log'));
	}

	get state() { return this.dir; }
	get published() { return this.o.server !== 'none'; }
	at(...names) { return path.join(this.dir, ...names); }
	get components() {
		return this.o.components ?? { activity: `activity.lectern.${this.domain}`, writing: `writing.lectern.${this.domain}` };
	}
	get wss() { return `wss://localhost:${this.ports.web}/wsapi/in/`; }
	get tlsOptions() { return { ca: fs.readFileSync(this.at('ca.pem')) }; }
	get events() { return `ws://${HOST}:${this.ports.web}/wsapi/in/`; }

	async prepare() {
		fs.mkdirSync(this.dir, { recursive: true, mode: 0o700 });
		fs.chmodSync(this.dir, 0o711); // Prosody's user walks through
		const [web, c2s, component, http] = await freePorts(4);
		this.ports = { web, c2s, component, http };
		makeCertificates(this.dir, this.domain);
		this.secrets = Object.fromEntries(Object.keys(this.components).map((c) => [c, secret(this.at(`${c}.secret`))]));
		secret(this.at('organisation.key'));
		secret(this.at('token.key'));
		if (this.published) {
			this.makeProsodyDir();
			this.writeProsody();
			for (const user of ['teacher', 'stranger']) this.addUser(user);
		} else {
			this.users.teacher = { jid: `teacher@${this.domain}` };
		}
		this.makeStudents(this.o.students ?? 30);
		this.writeRoster();
		this.writeConf();
	}

	// ---- Prosody ----

	makeProsodyDir() {
		const d = this.at('prosody');
		if (fs.existsSync(d)) return;
		if (process.getuid() !== 0 || reachable(this.dir)) fs.mkdirSync(d, { mode: 0o700 });
		else fs.symlinkSync(fs.mkdtempSync(path.join(os.tmpdir(), 'lectern-prosody-')), d);
	}

	writeProsody() {
		const d = fs.realpathSync(this.at('prosody'));
		for (const f of ['ca.pem', 'server.crt', 'server.key']) fs.copyFileSync(this.at(f), path.join(d, f));
		write(path.join(d, 'mod_lectern_ready.lua'), [
			'module:set_global();',
			'local path = module:get_option_string("lectern_ready_file");',
			'module:hook_global("server-started", function () local f = io.open(path, "w"); if f then f:write("ready\\n"); f:close(); end end);',
		].join('\n') + '\n', 0o644);
		const components = Object.entries(this.components).map(([name, jid]) =>
			`Component "${jid}"\n  component_secret = "${this.secrets[name]}"\n  component_conflict_resolve = "kick_old"\n`).join('\n');
		write(path.join(d, 'prosody.cfg.lua'), `
data_path = "${d}/data"
pidfile = "${d}/prosody.pid"
plugin_paths = { "${d}" }
lectern_ready_file = "${d}/ready"
log = { { levels = { min = "info" }, to = "console" } }
daemonize = false
interfaces = { "${HOST}" }
local_interfaces = { "${HOST}" }
c2s_ports = { ${this.ports.c2s} }
s2s_ports = { }
component_ports = { ${this.ports.component} }
http_ports = { ${this.ports.http} }
https_ports = { }
legacy_ssl_ports = { }
c2s_direct_tls_ports = { }
s2s_direct_tls_ports = { }
modules_enabled = { "disco", "roster", "saslauth", "tls", "ping", "posix", "smacks", "bosh", "websocket", "lectern_ready" }
modules_disabled = { "s2s", "offline" }
authentication = "internal_hashed"
allow_registration = false
c2s_require_encryption = true
consider_websocket_secure = true
consider_bosh_secure = true
ssl = { key = "${d}/server.key"; certificate = "${d}/server.crt"; cafile = "${d}/ca.pem" }
gc = { mode = "incremental"; threshold = 200; speed = 200 }
network_settings = { min_wait = 0 }
VirtualHost "${this.domain}"

${components}`);
		fs.mkdirSync(path.join(d, 'data'), { recursive: true, mode: 0o700 });
		if (process.getuid() === 0) execFileSync('chown', ['-R', 'nobody:nogroup', d]);
	}

	addUser(name, password = randomBytes(12).toString('hex')) {
		const known = this.at(`${name}.password`);
		if (fs.existsSync(known)) password = fs.readFileSync(known, 'utf8').trim();
		else write(known, password + '\n');
		const [c, a] = asUser('prosodyctl', ['--config', path.join(fs.realpathSync(this.at('prosody')), 'prosody.cfg.lua'), 'register', name, this.domain, password]);
		execFileSync(c, a, { cwd: '/', env: { ...process.env, HOME: this.at('prosody') }, stdio: ['ignore', 'pipe', 'pipe'] });
		this.users[name] = { jid: `${name}@${this.domain}`, password };
		return this.users[name];
	}

	async startProsody() {
		const d = fs.realpathSync(this.at('prosody'));
		fs.rmSync(path.join(d, 'ready'), { force: true });
		const [c, a] = asUser('prosody', ['--config', path.join(d, 'prosody.cfg.lua'), '-F']);
		this.prosody.start(c, a, { cwd: '/', env: { ...process.env, HOME: d } });
		await this.prosody.ready(() => fs.existsSync(path.join(d, 'ready')));
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
		const components = Object.entries(this.components).map(([name, jid]) =>
			`component "${name}" {\n  jid = "${jid}"\n  secret_file = "${this.at(`${name}.secret`)}"\n}`).join('\n');
		write(this.at('lectern.conf'), `
organisation = "${this.domain}"
state_dir = "${this.state}"
key_file = "${this.at('organisation.key')}"
control = "${this.at('lectern.sock')}"
log_level = "${this.o.logLevel ?? 'info'}"
listen {
  address = "${HOST}"
  port = ${this.ports.web}
  allow_no_origin = true
${this.o.tls ? `  tls_certificate = "${this.at('server.crt')}"\n  tls_key = "${this.at('server.key')}"` : ''}
${this.o.listen ?? `  origins = { "http://${HOST}:${this.ports.web}", "https://good.example" }`}
}
identity {
${this.o.identity?.(this) ?? '  methods = { "testcase_auth" }'}
}
roster { file = "${this.at('roster.csv')}" }
${this.published ? `xmpp {
  host = "${HOST}"
  port = ${this.ports.component}
  server = "${this.domain}"
}
${components}` : ''}
${this.o.config ?? ''}
`);
	}

	bin(name) { return path.join(this.build, name); }

	async startLecternd() {
		this.lecternd.start(this.bin('lecternd'), ['-c', this.at('lectern.conf')]);
		await this.lecternd.ready(() => answersHttp(this.ports.web, this.o.tls));
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
		if (this.published) await this.startProsody();
		await this.startLecternd();
		if (this.published) await this.componentsUp();
		this.pseudonyms();
		return this;
	}

	async stop() {
		const results = await Promise.allSettled([this.lecternd.stop(), this.prosody.stop()]);
		const bad = results.find((r) => r.status === 'rejected');
		if (bad) throw bad.reason;
		return results[0].value;
	}

	/** What a program needs to use the instance. */
	describe() {
		return {
			events: this.events,
			http: `http://${HOST}:${this.ports.web}`,
			xmpp: {
				host: HOST, port: this.ports.c2s, domain: this.domain, ca: this.at('ca.pem'),
				websocket: `ws://${HOST}:${this.ports.http}/xmpp-websocket`, components: this.components,
			},
			teacher: this.users.teacher,
			stranger: this.users.stranger,
			class: this.class,
			students: this.students.map(({ user_id, id, pseudonym }) => ({ user_id, id, pseudonym })),
			control: this.at('lectern.sock'),
			config: this.at('lectern.conf'),
			roster: this.at('roster.csv'),
			journal: path.join(this.state, 'journal'),
			pids: { lecternd: this.lecternd.pid, prosody: this.prosody.pid },
		};
	}
}
