// SPDX-License-Identifier: MIT
// service: a child process with a log, and what is done around one: waiting for
// a condition, free ports, folders and files that only its user can read.
import { spawn, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as os from 'node:os';
import * as path from 'node:path';

const READY_MS = 60_000; // longest wait for a process to come up
const ADDRESSES_MAX = 20;

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

/** Free ports of a loopback address, all different: held open together, then let go. */
export async function freePorts(n, host = '127.0.0.1') {
	const servers = await Promise.all(Array.from({ length: n }, () => new Promise((ok, no) => {
		const s = net.createServer();
		s.on('error', no);
		s.listen(0, host, () => ok(s));
	})));
	const ports = servers.map((s) => s.address().port);
	await Promise.all(servers.map((s) => new Promise((r) => s.close(r))));
	return ports;
}

/** A loopback address on which a port is free: servers of other domains are called on a port that is fixed. */
export async function freeAddress(port) {
	for (let i = 0; i < ADDRESSES_MAX; i++) {
		const [x, y, z] = randomBytes(3);
		const host = `127.${x}.${y}.${1 + z % 254}`;
		if (await new Promise((r) => {
			const s = net.createServer().on('error', () => r(false));
			s.listen(port, host, () => s.close(() => r(true)));
		})) return host;
	}
	throw new Error(`port ${port} is taken on every loopback address: an XMPP server of this machine listens on all of them ("systemctl stop ejabberd prosody" frees them)`);
}

export function write(file, text, mode = 0o600) {
	fs.writeFileSync(file, text, { mode });
	fs.chmodSync(file, mode);
	return file;
}

// ---- an ordinary user ----

const isRoot = process.getuid() === 0;

/** XMPP servers refuse to be root: then they run as an ordinary user of the machine. */
export function asUser(command, args) {
	if (!isRoot) return [command, args];
	return ['setpriv', ['--reuid=nobody', '--regid=nogroup', '--clear-groups', command, ...args]];
}

/** The same with a file of its own in the place of /etc/hosts, in a mount namespace. */
export function asUserWithHosts(hosts, command, args) {
	const [c, a] = asUser(command, args);
	return ['unshare', [isRoot ? '-m' : '-rm', 'sh', '-c', 'mount --bind "$0" /etc/hosts && exec "$@"', hosts, c, ...a]];
}

/** Whether any user may walk to the folder; /root and the like are closed. */
function isReachable(dir) {
	for (let d = dir; d !== path.dirname(d); d = path.dirname(d))
		if (fs.existsSync(d) && !(fs.statSync(d).mode & 0o001)) return false;
	return true;
}

const PATH_MAX = 60; // longest folder: the path of a Unix socket in it has to fit into 107 bytes

/** The folder of a process of that user: at `link`, or behind it where it could not be reached. */
export function makeUserDir(link) {
	if (!fs.existsSync(link)) {
		if ((!isRoot || isReachable(path.dirname(link))) && link.length <= PATH_MAX) fs.mkdirSync(link, { mode: 0o700 });
		else fs.symlinkSync(fs.mkdtempSync(path.join(os.tmpdir(), `lectern-${path.basename(link)}-`)), link);
	}
	return fs.realpathSync(link);
}

/** Gives a folder and all in it to that user. */
export function giveToUser(dir) {
	if (isRoot) execFileSync('chown', ['-R', 'nobody:nogroup', dir]);
}

// ---- the process ----

/** A child process whose output goes to a file, and whose end can be awaited. */
export class Service {
	constructor(name, log) { this.name = name; this.log = log; this.child = null; }

	spawn(command, args, options = {}) {
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

	kill() { return this.stop('SIGKILL'); }

	async restart(signal) {
		await this.stop(signal);
		await this.start();
	}
}
