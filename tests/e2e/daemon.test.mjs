// SPDX-License-Identifier: MIT
// daemon: configuration errors, reload, drain, identities, opt-out and TLS, as
// an administrator and a browser meet them.
import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as tls from 'node:tls';
import { ok, same, jsonLines, liveStates, waitFor, withInstance } from './lib/rig.mjs';
import { freePorts } from '../../tools/instance.mjs';
import { Student, keystroke } from '../../tools/class.mjs';
import { WebSocket } from 'ws';

const SOURCE = 'org.mitros.writing_analytics';

/** A browser tab: frames in, messages out. */
function tab(url, options = {}) {
	const socket = new WebSocket(url, options);
	const t = { socket, messages: [], send: (o) => socket.send(typeof o === 'string' ? o : JSON.stringify(o)) };
	t.opened = new Promise((r, no) => { socket.on('open', r); socket.on('error', no); });
	t.closed = new Promise((r) => socket.on('close', (code, reason) => r({ code, reason: String(reason) })));
	socket.on('upgrade', (res) => { t.cookie = res.headers['set-cookie']?.[0]; });
	socket.on('message', (m) => t.messages.push(JSON.parse(m)));
	t.until = (test, what) => waitFor(() => t.messages.find(test), what);
	t.status = (s) => t.until((m) => m.status === s, `a message of status ${s}`);
	return t;
}

const lock = (fields) => ({ event: 'lock_fields', fields: { source: SOURCE, ...fields } });

async function configuration(instance) {
	const bad = instance.at('bad.conf');
	fs.writeFileSync(bad, 'organisation = "x"\nlisten {\n  port = 99999\n}\nidentity { methods = { "magic" } }\nnonsense = 1\n', { mode: 0o600 });
	const r = spawnSync(instance.bin('lecternd'), ['-c', bad, '--check-config'], { encoding: 'utf8' });
	same(r.status, 78, 'a wrong configuration ends with 78');
	ok(r.stderr.includes(`${bad}:`), 'naming the file and line');
	const good = spawnSync(instance.bin('lecternd'), ['-c', instance.at('lectern.conf'), '--check-config'], { encoding: 'utf8' });
	same([good.status, good.stderr], [0, ''], 'a right one with 0 and silence');
	const printed = instance.at('printed.conf');
	fs.writeFileSync(printed, execFileSync(instance.bin('lecternd'), ['-c', instance.at('lectern.conf'), '--print-config'], { encoding: 'utf8' }), { mode: 0o600 });
	const again = execFileSync(instance.bin('lecternd'), ['-c', printed, '--print-config'], { encoding: 'utf8' });
	same(again, fs.readFileSync(printed, 'utf8'), 'what --print-config prints reads back the same');
	ok(!Object.values(instance.secrets).some((s) => again.includes(s)), 'and holds no secret');
}

async function identities(instance) {
	const token = instance.ctl('token', '--user', 'gc-42').trim();
	const verified = tab(instance.wss, instance.tlsOptions);
	await verified.opened;
	verified.send(lock({ token }));
	const auth = await verified.status('auth');
	same([auth.safe_user_id, auth.sec], ['gc-42', 'authenticated'], 'a token names a verified student');
	verified.send(keystroke('a', 'd1', Date.now()));

	const claim = tab(instance.wss, instance.tlsOptions);
	await claim.opened;
	claim.send(lock({ chrome_identity: { email: 'kid@school.test', id: '42' } }));
	const unverified = await claim.status('auth');
	same([unverified.user_id, unverified.safe_user_id, unverified.sec], ['gc-42', 'unverified-gc-42', 'unauthenticated'],
		'the same id as a mere claim stays apart');
	claim.send(keystroke('a', 'd1', Date.now()));
	claim.send(keystroke('b', 'd1', Date.now()));
	const key = (id) => `Internal,activity.event_count,STUDENT:${id}`;
	await waitFor(() => liveStates(instance)[key('unverified-gc-42')]?.value.count === 2, 'the unverified state');
	same(liveStates(instance)[key('gc-42')].value.count, 1, 'and never writes into the verified one');

	const forged = tab(instance.wss, instance.tlsOptions);
	await forged.opened;
	forged.send(lock({ token: token.slice(0, -2) + 'AA' }));
	same((await forged.status('error')).code, 'bad_token', 'a forged token is refused');
	forged.send({ event: 'x', auth: { user_id: 'gc-42' } });
	const guest = await forged.status('auth');
	ok(guest.safe_user_id.startsWith('unverified-guest-') && guest.sec === 'none', 'a guest is a guest');
	const cookie = forged.cookie.split(';')[0];
	const back = tab(instance.wss, { ...instance.tlsOptions, headers: { Cookie: cookie } });
	await back.opened;
	back.send(lock({}));
	back.send({ event: 'x' });
	same((await back.status('auth')).user_id, guest.user_id, 'and the same one after a reconnect');
	const dump = instance.ctl('journal', 'dump');
	ok(!dump.includes(token), 'the token is not in the journal');
	ok(!fs.readFileSync(instance.lecternd.log, 'utf8').includes(token), 'nor in the log');
	[verified, claim, forged, back].forEach((t) => t.socket.close());
}

async function optOut(instance) {
	const t = tab(instance.wss, instance.tlsOptions);
	await t.opened;
	t.send(lock({ chrome_identity: { email: 'secret.kid@blocked.edu', id: '777' } }));
	t.send({ event: 'before', note: 'do not keep this' });
	const m = await t.status('blocklist');
	same([m.action, m.time_limit, m.message], ['MAINTAIN', 'DAYS', 'not here'], 'an opted-out domain is told so in the reference\'s words');
	same((await t.closed).code, 1000, 'and closed with 1000');
	const files = fs.readdirSync(path.join(instance.state, 'journal')).map((f) => fs.readFileSync(path.join(instance.state, 'journal', f), 'latin1')).join('');
	ok(!files.includes('secret.kid') && !files.includes('do not keep this') && !files.includes('777'), 'nothing of it reached the disk');
}

async function reload(instance) {
	const seen = () => new Promise((r) => {
		const s = tls.connect({ host: '127.0.0.1', port: instance.ports.web, ca: fs.readFileSync(instance.at('ca.pem')), servername: 'localhost' }, () => { r(s.getPeerCertificate().serialNumber); s.destroy(); });
	});
	const before = await seen();
	execFileSync('openssl', ['x509', '-req', '-in', 'server.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '825', '-out', 'server.crt', '-extfile', 'server.ext'], { cwd: instance.dir, stdio: 'pipe' });
	instance.lecternd.child.kill('SIGHUP');
	await waitFor(async () => (await seen()) !== before, 'the new certificate');
	ok(true, 'SIGHUP brings the new TLS certificate');

	const conf = fs.readFileSync(instance.at('lectern.conf'), 'utf8');
	fs.writeFileSync(instance.at('lectern.conf'), conf + '\nnonsense = 1\n');
	instance.lecternd.child.kill('SIGHUP');
	await waitFor(() => /reload refused/.test(fs.readFileSync(instance.lecternd.log, 'utf8')), 'the log line');
	fs.writeFileSync(instance.at('lectern.conf'), conf);
	ok(instance.status().roster.reload_error?.includes('lectern.conf:'), 'a wrong configuration is refused on reload, status says where');
	fs.writeFileSync(instance.at('lectern.conf'), conf.replace('MAINTAIN', 'DROP'));
	same(JSON.parse(instance.ctl('reload')), { ok: true }, 'a right one is taken');
	same(instance.status().roster.reload_error, null, 'and the error is gone');
}

async function drain(instance) {
	const s = new Student(instance.wss, 'last', { fields: { token: instance.ctl('token', '--user', 'last').trim(), user_id: undefined }, options: instance.tlsOptions }).connect();
	await waitFor(() => s.live, 'a student');
	const closed = new Promise((r) => s.socket.on('close', (code) => r(code)));
	s.stopped = true;
	for (let i = 0; i < 20; i++) s.type();
	await waitFor(() => s.acked > 0, 'the first ack');
	const acked = s.acked;
	const how = await instance.lecternd.stop('SIGTERM');
	same([how.code, await closed], [0, 1012], 'SIGTERM drains: connections are closed with 1012');
	ok(s.acked >= acked, 'acks keep coming until then');
	const events = jsonLines(instance.ctl('journal', 'dump')).filter((r) => r.type === 'event' && r.stream_seq);
	ok(events.length >= s.acked, 'everything acknowledged is in the journal');
	ok(/ equal\n$/.test(instance.ctl('journal', 'replay', '--verify')), 'the snapshot of the stop equals a full replay');
	await instance.startLecternd();
}

/* Both signals reach the loop in one turn, before the first one's drain is through. */
async function stopTwice(instance) {
	const { child } = instance.lecternd;
	for (const signal of ['SIGSTOP', 'SIGTERM', 'SIGINT', 'SIGCONT']) child.kill(signal);
	same(await instance.lecternd.ended, { code: 0, signal: null }, 'told to stop twice, it leaves in order');
	await instance.startLecternd();
}

/** The port is another program's, and the XMPP server is away: said so, each time. */
async function takenPort(instance) {
	const [closed] = await freePorts(1);
	const second = instance.at('second.conf');
	const conf = fs.readFileSync(instance.at('lectern.conf'), 'utf8')
		.replace(/^state_dir.*$/m, `state_dir = "${instance.at('second')}"`).replace(/^control.*$/m, '');
	fs.writeFileSync(second, conf + `\nxmpp {\n  host = "127.0.0.1"\n  server = "localhost"\n  port = ${closed}\n}\ncomponent "*" {\n` +
		`  jid = "second.localhost"\n  secret_file = "${instance.at('organisation.key')}"\n}\n`, { mode: 0o600 });
	fs.mkdirSync(instance.at('second'), { mode: 0o700 });
	for (let i = 0; i < 8; i++) {
		const r = spawnSync(instance.bin('lecternd'), ['-c', second], { encoding: 'utf8', timeout: 60000 });
		same(r.status, 69, `a taken port ends the start with 69\n${r.stderr}`);
		ok(r.stderr.includes('another program listens there'), 'and says why');
	}
}

await withInstance('daemon', {
	server: 'none', tls: true, students: 2,
	identity: (i) => `  methods = { "token", "chromebook", "guest" }\n  token_key_file = "${i.at('token.key')}"`,
	config: 'opt_out "blocked.edu" { action = "MAINTAIN" time_limit = "DAYS" message = "not here" }',
}, async (instance) => {
	await configuration(instance);
	await identities(instance);
	await optOut(instance);
	await reload(instance);
	await drain(instance);
	await stopTwice(instance);
	await takenPort(instance);
});
