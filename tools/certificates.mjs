// SPDX-License-Identifier: MIT
// certificates: a private CA and certificates of its own, made by openssl.
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { write } from './service.mjs';

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** The certificates of all CAs that an XMPP server trusts. */
export function trustOf(site) {
	const files = site.s2s?.authorities ?? [path.join(site.certificates, 'ca.pem')];
	return files.map((f) => fs.readFileSync(f, 'utf8')).join('');
}

const extensionsOf = (domain) => ['basicConstraints=CA:FALSE', 'keyUsage=digitalSignature', 'extendedKeyUsage=serverAuth,clientAuth',
	`subjectAltName=DNS:${domain},DNS:*.${domain},DNS:localhost,IP:127.0.0.1`];

/** The same files with nobody's word but their own. */
export function makeSelfSigned(dir, domain) {
	execFileSync('openssl', ['req', '-x509', ...KEY, '-days', '825', '-subj', `/CN=${domain}`, '-keyout', 'server.key', '-out', 'server.crt',
		...extensionsOf(domain).flatMap((e) => ['-addext', e])], { cwd: dir, stdio: ['ignore', 'ignore', 'pipe'] });
	fs.copyFileSync(path.join(dir, 'server.crt'), path.join(dir, 'ca.pem'));
}

/** ca.pem, and server.crt with server.key for the domain and all names below it, in `dir`. */
export function makeCertificates(dir, domain) {
	const run = (...args) => execFileSync('openssl', args, { cwd: dir, stdio: ['ignore', 'ignore', 'pipe'] });
	if (fs.existsSync(path.join(dir, 'server.crt'))) return;
	run('req', '-x509', ...KEY, '-days', '3650', '-subj', `/CN=Private CA of ${domain}`, '-keyout', 'ca.key', '-out', 'ca.pem',
		'-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign');
	run('req', ...KEY, '-subj', `/CN=${domain}`, '-keyout', 'server.key', '-out', 'server.csr');
	write(path.join(dir, 'server.ext'), `${extensionsOf(domain).join('\n')}\n`);
	run('x509', '-req', '-in', 'server.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '825', '-out', 'server.crt', '-extfile', 'server.ext');
}
