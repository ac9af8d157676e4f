// SPDX-License-Identifier: MIT
// xmpp-check: what lectern-xmpp-check tells an XMPP server, and what it believes one: never a
// password to whom nobody vouches for, never in clear where SCRAM is offered.
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { makeCertificates, makeSelfSigned } from '../../tools/certificates.mjs';
import { end, ok, same, temporary } from './lib/rig.mjs';
import { MECHANISMS, TLS, fakeXmpp } from './lib/fake-xmpp.mjs';
import { ROOT } from '../../tools/instance.mjs';

const DOMAIN = 'school.test';
const PASSWORD = 'correct-horse';
const YES = 0, UNAVAILABLE = 69, NO = 77;
const PROGRAM = path.join(process.env.LECTERN_BUILD ?? path.join(ROOT, 'build'), 'lectern-xmpp-check');
const failure = (condition, text = '') => `<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><${condition}/>${text}</failure>`;
const SUCCESS = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";

/** Runs the program; answers {status, said}. */
function check(port, ca) {
	return new Promise((r) => {
		const child = spawn(PROGRAM, [], { stdio: ['pipe', 'ignore', 'pipe'] });
		let said = '';
		child.stderr.on('data', (d) => { said += d; });
		child.on('close', (status) => r({ status, said }));
		child.stdin.end(`tina@${DOMAIN}\n${PASSWORD}\n127.0.0.1\n${port}\n${ca}\n`);
	});
}

const dir = temporary('xmpp-check');
const other = path.join(dir, 'other'), self = path.join(dir, 'self'), wrongName = path.join(dir, 'name');
for (const d of [other, self, wrongName]) fs.mkdirSync(d);
makeCertificates(dir, DOMAIN);
makeCertificates(other, 'other.test');
makeSelfSigned(self, DOMAIN);
const ca = path.join(dir, 'ca.pem');
const files = (d) => ({ key: fs.readFileSync(path.join(d, 'server.key')), cert: fs.readFileSync(path.join(d, 'server.crt')) });

/** One server that behaves so: what the program says of it, and what it was told. */
async function against(options, trust = ca) {
	const server = await fakeXmpp({ domain: DOMAIN, ...files(dir), mechanisms: ['PLAIN'], answer: SUCCESS, ...options });
	const a = await check(server.port, trust);
	await server.close();
	return { ...a, ...server.told };
}

const clean = (a) => !a.plain.includes('<auth') && !a.said.includes(PASSWORD) && a.said.split('\n').length <= 2;

async function is(what, options, status, auth, trust) {
	const a = await against(options, trust);
	same([a.status, a.auth], [status, auth], what);
	if (!ok(clean(a) && (status === UNAVAILABLE) === (a.said !== ''), `${what}: says why in one line, and no password`)) console.log(`# ${a.said}`);
}

await is('a server that knows only PLAIN is told the password inside TLS', {}, YES, ['PLAIN']);
for (let i = 0; i < 5; i++) await is('and may close before it got the good-bye', { slam: true }, YES, ['PLAIN']);
await is('and may say that it is wrong', { answer: failure('not-authorized') }, NO, ['PLAIN']);
for (const condition of ['account-disabled', 'credentials-expired'])
	await is(condition, { answer: failure(condition) }, NO, ['PLAIN']);
for (const condition of ['temporary-auth-failure', 'mechanism-too-weak', 'aborted'])
	await is(condition, { answer: failure(condition, '<text>a line\nanother</text>') }, UNAVAILABLE, ['PLAIN']);
for (const scram of ['SCRAM-SHA-1', 'SCRAM-SHA-256', 'SCRAM-SHA-512']) {
	await is(`where ${scram} is offered it is used`, { mechanisms: ['PLAIN', 'DIGEST-MD5', scram], answer: failure('not-authorized') }, NO, [scram]);
	await is(`and PLAIN is not tried after it`, { mechanisms: [scram, 'PLAIN'], answer: failure('temporary-auth-failure') }, UNAVAILABLE, [scram]);
}
await is('of two the better one', { mechanisms: ['SCRAM-SHA-1', 'SCRAM-SHA-256', 'PLAIN'], answer: failure('not-authorized') }, NO, ['SCRAM-SHA-256']);
await is('nobody in particular is not who is asked about', { mechanisms: ['ANONYMOUS'] }, UNAVAILABLE, []);
await is('no mechanism at all', { mechanisms: [] }, UNAVAILABLE, []);
await is('a server without TLS is told nothing', { before: MECHANISMS(['PLAIN', 'SCRAM-SHA-1']) }, UNAVAILABLE, []);
await is('one that offers both begins with TLS', { before: TLS + MECHANISMS(['PLAIN']), answer: failure('not-authorized') }, NO, ['PLAIN']);
await is('a certificate of another CA is not believed', { ...files(other) }, UNAVAILABLE, []);
await is('nor one of itself', { ...files(self) }, UNAVAILABLE, []);
await is('nor one for another name', { ...files(other) }, UNAVAILABLE, [], path.join(other, 'ca.pem'));
await is('its own, when that is what the configuration names', { ...files(self) }, YES, ['PLAIN'], path.join(self, 'server.crt'));
await is('garbage is no answer', { raw: '\0\xff<<<&&&' }, UNAVAILABLE, []);
await is('an error of the stream is none, and its text one line', { answer: "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>first\nsecond\u0007</text></stream:error>" }, UNAVAILABLE, ['PLAIN']);
same((await check(1, ca)).status, UNAVAILABLE, 'nobody at the port');
await is('silence is waited for, for a while', { raw: ' ' }, UNAVAILABLE, []);
fs.rmSync(dir, { recursive: true });
end();
