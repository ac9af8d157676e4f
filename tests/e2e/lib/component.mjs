// SPDX-License-Identifier: MIT
// component: an external component of the XMPP server (XEP-0114) that says what
// a test tells it to.
import { createHash } from 'node:crypto';
import * as net from 'node:net';

const ANSWER_MS = 15_000;

/** Connects as this JID, sends each request in turn and answers what came back for it, as text. */
export function asComponent(instance, jid, requests) {
	return new Promise((ok, no) => {
		const s = net.connect({ host: instance.host, port: instance.ports.component });
		const answers = [];
		let text = '';
		const limit = setTimeout(() => { s.destroy(); no(new Error(`no answer to ${jid}: ${text}`)); }, ANSWER_MS);
		const next = () => {
			text = '';
			if (answers.length === requests.length) {
				clearTimeout(limit);
				s.end('</stream:stream>');
				ok(answers);
			} else {
				s.write(requests[answers.length]);
			}
		};
		s.on('error', no);
		s.on('data', (b) => {
			text += b;
			const id = /<stream:stream[^>]* id=['"]([^'"]+)/.exec(text)?.[1];
			if (id) {
				text = '';
				s.write(`<handshake>${createHash('sha1').update(id + instance.secrets[jid]).digest('hex')}</handshake>`);
			} else if (/<handshake\s*\/>|<handshake><\/handshake>/.test(text)) {
				next();
			} else if (/<\/iq>|<iq[^>]*\/>$/.test(text)) {
				answers.push(text);
				next();
			}
		});
		s.write(`<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='${jid}'>`);
	});
}
