// SPDX-License-Identifier: MIT
// doctor: `lecternctl doctor` on a deployment where all is well, and on one after
// the other fault: each gets its name and the lines that mend it.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { ok, same, jsonLines, waitFor, withServers } from './lib/rig.mjs';

// With one server or the other: node tests/e2e/doctor.test.mjs ejabberd
const PROBE = 'lectern-probe';

function doctor(instance, ...more) {
	const r = spawnSync(instance.bin('lecternctl'), ['doctor', '--json', '-c', instance.at('lectern.conf'), ...more], { encoding: 'utf8', timeout: 120_000 });
	const report = jsonLines(r.stdout)[0] ?? { checks: [] };
	const wrong = report.checks.filter((c) => c.level === 'wrong');
	return { status: r.status, said: r.stdout + r.stderr, report, faults: wrong.map((c) => c.fault), of: (fault) => report.checks.find((c) => c.fault === fault), has: (check) => report.checks.find((c) => c.check === check && c.level === 'ok') };
}

const asAccount = (instance, user = 'teacher', password = instance.at(`${user}.password`)) => {
	const { xmpp } = instance.describe();
	return ['--probe', '--jid', instance.users[user].jid, '--password-file', password, '--host', xmpp.host, '--port', String(xmpp.port), '--ca', xmpp.ca, '--timeout', '30'];
};

/** The configuration with something replaced, for as long as `during` runs. */
async function withConf(instance, from, to, during) {
	const file = instance.at('lectern.conf'), was = fs.readFileSync(file, 'utf8');
	if (!was.includes(from)) throw new Error(`the configuration has no ${from}`);
	fs.writeFileSync(file, was.replaceAll(from, to), { mode: 0o600 });
	try { await during(); } finally { fs.writeFileSync(file, was, { mode: 0o600 }); }
}

async function withFile(file, text, mode, during) {
	const was = fs.readFileSync(file);
	fs.writeFileSync(file, text);
	fs.chmodSync(file, mode);
	try { await during(); } finally { fs.writeFileSync(file, was); fs.chmodSync(file, 0o600); }
}

/** A TCP server on the web door's port, as if another program had it; in a process of its own, since doctor() blocks. */
async function withForeign(instance, answer, during) {
	const code = `require('net').createServer((s) => { s.on('error', () => {}); s.once('data', () => s.end(${JSON.stringify(answer)})); }).listen(${instance.ports.web}, '127.0.0.1', () => console.log('up'))`;
	const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
	await new Promise((r) => child.stdout.once('data', r));
	try { await during(); } finally {
		child.kill();
		await new Promise((r) => child.once('exit', r));
	}
}

function probeRows(instance, student) {
	return [...instance.rosterRows(), [PROBE, 'teacher', PROBE, instance.users.teacher.jid, 'Probe'], [PROBE, 'student', student, '', 'Probe']];
}

/** A certificate that ended yesterday, in place of the daemon's. */
function expire(instance) {
	const run = (...args) => execFileSync('openssl', args, { cwd: instance.dir, stdio: ['ignore', 'ignore', 'pipe'] });
	fs.mkdirSync(instance.at('old-ca'));
	fs.writeFileSync(instance.at('old-ca', 'index'), '');
	fs.writeFileSync(instance.at('old-ca', 'conf'), '[ca]\ndefault_ca=x\n[x]\ndatabase=old-ca/index\nnew_certs_dir=old-ca\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n');
	run('ca', '-batch', '-config', 'old-ca/conf', '-cert', 'ca.pem', '-keyfile', 'ca.key', '-in', 'server.csr', '-notext', '-out', 'server.crt', '-startdate', '20200101000000Z', '-enddate', '20200201000000Z', '-extfile', 'server.ext');
}

await withServers('doctor', { students: 2, tls: true, kvs: 'redis', pubsub: ['xmpp', 'redis'], components: { activity: 'activity.lectern.school.test', writing: 'writing.lectern.school.test' }, identity: (i) => `  methods = { "token" }\n  token_key_file = "${i.at('token.key')}"` }, async (instance) => {
	const { activity } = instance.components;
	instance.writeRoster(probeRows(instance, PROBE));
	instance.ctl('reload');

	// ---- all is well ----
	let r = doctor(instance, ...asAccount(instance));
	same([r.status, r.report.ok, r.faults], [0, true, []], 'a right deployment is well, probe and all');
	ok(['login', 'subscribe', 'identify', 'event', 'item'].every((c) => r.has(c)?.ms > 0), 'and each hop is timed');
	const records = instance.status().journal.durable;
	r = doctor(instance);
	ok(r.status === 0 && instance.status().journal.durable === records, 'without --probe nothing is journaled');
	const people = spawnSync(instance.bin('lecternctl'), ['doctor', '-c', instance.at('lectern.conf')], { encoding: 'utf8' });
	ok(people.status === 0 && /^ok\s+web\s/m.test(people.stdout) && people.stdout.endsWith('--probe sends an event down the road\n'), 'people get a table');
	r = doctor(instance, ...asAccount(instance));
	ok(r.status === 0, 'a second probe arrives like the first');

	// ---- the probe refuses, or finds the hop that fails ----
	r = doctor(instance, ...asAccount(instance), '--student', instance.students[0].id);
	same(r.faults, ['probe_student'], 'a student among others is not used as a probe');
	r = doctor(instance, ...asAccount(instance), '--student', 'nobody');
	same(r.faults, ['probe_student'], 'a student who is in no roster is told');
	ok(r.of('probe_student').advice.some((l) => l.endsWith(`${PROBE},teacher,${PROBE},${instance.users.teacher.jid},Probe`)), 'with the rows to add');
	same(doctor(instance, ...asAccount(instance, 'stranger')).faults, ['probe_reader'], 'an account that may not read is told');
	fs.writeFileSync(instance.at('wrong.password'), 'not-the-password\n', { mode: 0o600 });
	r = doctor(instance, ...asAccount(instance, 'teacher', instance.at('wrong.password')));
	ok(r.status === 69 && r.faults.includes('login') && !r.said.includes('not-the-password'), 'a wrong password is told, and not shown');
	await withConf(instance, 'methods = { "token" }', 'methods = { "testcase_auth" }', async () => {
		instance.writeRoster(probeRows(instance, `tc-testcase-${PROBE}`));
		instance.ctl('reload');
		r = doctor(instance, ...asAccount(instance));
		same(r.faults, [], 'with testcase_auth, too, the probe arrives');
	});
	instance.ctl('reload');

	// ---- the daemon runs and something around it is wrong ----
	await instance.server.stop('SIGKILL');
	await waitFor(() => doctor(instance).of('port_closed')?.check === 'xmpp', 'the daemon to report the closed port');
	r = doctor(instance);
	ok(r.status === 69 && r.of('port_closed').advice.includes(`prosody.cfg.lua: component_ports = { ${instance.ports.component} }`), 'a server that is gone: port_closed, with the lines');
	await instance.server.start();
	await instance.componentsUp();
	await instance.redis.stop('SIGKILL');
	await waitFor(() => doctor(instance).of('pubsub'), 'the daemon to miss its Redis');
	r = doctor(instance);
	same([r.status, new Set(r.faults)], [69, new Set(['redis', 'kvs', 'pubsub'])], 'a Redis that is gone is told');
	await instance.redis.start();
	await waitFor(() => doctor(instance).faults.length === 0, 'the daemon to be back at its Redis');
	ok(doctor(instance).has('redis')?.ms > 0, 'and when it is back, too');
	await withFile(instance.redis.passwordFile, 'not-the-password\n', 0o600, () => {
		r = doctor(instance);
		ok(r.faults.join() === 'redis' && !r.said.includes('not-the-password'), 'a wrong password of Redis is told, and not shown');
	});
	expire(instance);
	instance.ctl('reload');
	r = doctor(instance);
	same(r.faults, ['certificate_expired'], 'an expired certificate is told');

	// ---- the daemon does not run ----
	await instance.lecternd.stop();
	r = doctor(instance);
	same(r.faults, ['daemon_down'], 'a daemon that does not run is the only fault then');
	ok(r.report.checks.filter((c) => c.check === 'xmpp' && c.level === 'ok' && c.ms > 0).length === 2 && r.has('ping')?.ms > 0, 'the handshakes are tried and timed without it');

	const wrongSecret = 'f0e1d2c3b4a5968778695a4b3c2d1e0f-wrong';
	await withFile(instance.secretFile(activity), wrongSecret + '\n', 0o600, () => {
		r = doctor(instance);
		same(r.faults, ['daemon_down', 'wrong_secret'], 'a wrong secret is told');
		const { subject, advice } = r.of('wrong_secret');
		ok(subject === activity && advice.includes(`prosody.cfg.lua: Component "${activity}"`) && advice.includes('ejabberd.yml:     module: ejabberd_service'), 'of which component, and the lines for both servers');
		ok(!r.said.includes(wrongSecret) && !r.said.includes(instance.secrets[instance.components.writing]), 'and no secret is shown');
	});
	await withConf(instance, `jid = "${activity}"`, 'jid = "nobody.lectern.school.test"', () => {
		r = doctor(instance);
		const fault = instance.server.name === 'ejabberd' ? 'wrong_secret' : 'unknown_host'; // it answers both alike
		same(r.faults, ['daemon_down', fault], 'a component the server does not know is told');
		ok(r.of(fault).advice.includes('prosody.cfg.lua: Component "nobody.lectern.school.test"'), 'with its lines');
	});
	await withConf(instance, `server = "${instance.domain}"`, 'server = "elsewhere.test"', () => {
		ok(doctor(instance).of('server_unsure'), 'a domain that is not this server\'s is told');
	});
	await withFile(instance.secretFile(activity), instance.secrets[activity] + '\n', 0o644, () => {
		r = doctor(instance);
		ok(r.faults.includes('secret') && r.of('secret').what.includes('chmod 0600'), 'a secret open to others is told');
	});
	await withConf(instance, 'roster.csv', 'no-roster.csv', () => {
		ok(doctor(instance).faults.includes('roster'), 'a roster that is not there is told');
	});
	for (const [answer, what] of [['HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', 'another web server'], ['SSH-2.0-OpenSSH_9.2\r\n', 'something that is no web server']])
		await withForeign(instance, answer, () => {
			r = doctor(instance);
			ok(r.faults.includes('port_taken') && r.of('port_taken').advice.some((l) => l.includes(`:${instance.ports.web}`)), `${what} on the port is told`);
		});
	await withConf(instance, 'organisation =', 'organization =', () => {
		r = doctor(instance);
		ok(r.status === 78 && r.faults[0] === 'configuration' && r.of('configuration').advice.length > 0, 'a wrong configuration is told with its causes');
	});
	await instance.server.stop();
	same(new Set(doctor(instance).faults), new Set(['daemon_down', 'port_closed']), 'no server and no daemon: both are told');
	await instance.server.start();
	await instance.startLecternd();
	await instance.componentsUp();
});
