// SPDX-License-Identifier: MIT
// two-daemons: two daemons with one JID. One of them serves, the other says
// conflict and waits, whether the server throws the older one out (Prosody,
// kick_old), refuses the younger (kick_new), or lets both in and splits what it
// sends between them (ejabberd).
import * as fs from 'node:fs';
import * as path from 'node:path';
import { spawn, spawnSync } from 'node:child_process';
import { freePorts } from '../../tools/instance.mjs';
import { ok, same, waitFor, withServers } from './lib/rig.mjs';

/** A second daemon beside the instance: the same configuration but for its own state, socket and port. */
class Second {
	async start(instance) {
		this.instance = instance;
		this.dir = instance.at('second');
		fs.rmSync(this.dir, { recursive: true, force: true });
		fs.mkdirSync(this.dir, { mode: 0o700 });
		const [port] = await freePorts(1);
		const conf = fs.readFileSync(instance.at('lectern.conf'), 'utf8')
			.replace(`state_dir = "${instance.state}"`, `state_dir = "${this.dir}"`)
			.replace(instance.at('lectern.sock'), path.join(this.dir, 'lectern.sock'))
			.replace(`port = ${instance.ports.web}`, `port = ${port}`);
		this.conf = path.join(this.dir, 'lectern.conf');
		fs.writeFileSync(this.conf, conf, { mode: 0o600 });
		this.child = spawn(instance.bin('lecternd'), ['-c', this.conf], { stdio: ['ignore', 'ignore', fs.openSync(path.join(this.dir, 'log'), 'a')] });
		this.ended = new Promise((r) => this.child.on('exit', (code) => r(code)));
		await waitFor(() => this.xmpp(), 'the second daemon');
		return this;
	}
	ctl(...args) { return spawnSync(this.instance.bin('lecternctl'), [...args, '-c', this.conf], { encoding: 'utf8' }); }
	xmpp() { try { return JSON.parse(this.ctl('status').stdout).xmpp[0]; } catch { return null; } }
	log() { return fs.readFileSync(path.join(this.dir, 'log'), 'utf8'); }
	stop() { this.child.kill('SIGTERM'); return this.ended; }
}

const first = (instance) => instance.status().xmpp[0];
const conflict = (c) => c?.state === 'down' && c.why === 'conflict';

async function onProsody(instance) {
	let second = await new Second().start(instance);
	await waitFor(() => conflict(first(instance)) && second.xmpp().state === 'up', 'the older to be thrown out');
	ok(true, 'kick_old: the younger serves, the older says conflict and waits');
	const doctor = spawnSync(instance.bin('lecternctl'), ['doctor', '--json', '-c', instance.at('lectern.conf')], { encoding: 'utf8' });
	const told = JSON.parse(doctor.stdout).checks.find((c) => c.fault === 'conflict');
	ok(told?.advice.some((l) => l.includes('another lecternd')), 'and doctor says so');
	same(await second.stop(), 0, 'the younger goes');
	await waitFor(() => first(instance).state === 'up', 'the older to be back', 60_000);
	ok(true, 'when it is gone the older serves again');

	await instance.server.stop();
	const { config } = instance.server;
	fs.writeFileSync(config, fs.readFileSync(config, 'utf8').replaceAll('kick_old', 'kick_new'));
	await instance.server.start();
	await waitFor(() => first(instance).state === 'up', 'the stream', 60_000);
	const { connects } = first(instance);
	second = await new Second().start(instance);
	await waitFor(() => conflict(second.xmpp()), 'the younger to be refused');
	same([first(instance).state, first(instance).connects], ['up', connects], 'kick_new: the older serves on, the younger says conflict and waits');
	await second.stop();
}

async function onEjabberd(instance) {
	const { connects } = first(instance);
	const second = await new Second().start(instance);
	await waitFor(() => conflict(second.xmpp()), 'the younger to notice', 120_000);
	same([first(instance).state, first(instance).connects], ['up', connects], 'the server lets both in: the younger notices and goes, the older serves on');
	ok(second.log().includes('splits what is sent to it between the two'), 'the log of the younger says why');
	ok(fs.readFileSync(instance.lecternd.log, 'utf8').includes('stop one of them'), 'and that of the older, loudly');
	const doctor = spawnSync(instance.bin('lecternctl'), ['doctor', '--json', '-c', second.conf], { encoding: 'utf8' });
	ok(JSON.parse(doctor.stdout).checks.some((c) => c.fault === 'conflict'), 'doctor says so');
	await second.stop();
}

await withServers('two-daemons', { students: 1 }, (instance) => (instance.server.name === 'ejabberd' ? onEjabberd(instance) : onProsody(instance)));
