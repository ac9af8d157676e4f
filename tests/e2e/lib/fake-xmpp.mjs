// SPDX-License-Identifier: MIT
// fake-xmpp: an XMPP server for clients that does what a test says: whether it offers TLS, which
// mechanisms, how it answers. It notes what it is told.
import * as net from 'node:net';
import * as tls from 'node:tls';

const HEADER = (domain) => `<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' id='x1' from='${domain}'>`;
const FEATURES = (inside) => `<stream:features>${inside}</stream:features>`;
const TLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>";
const MECHANISMS = (names) => `<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>${names.map((n) => `<mechanism>${n}</mechanism>`).join('')}</mechanisms>`;

/** o: {domain, key, cert, before (features without TLS; by default TLS), mechanisms, answer (to auth: text, or a function of it),
 *  slam (closes once it has said all)}.
 *  Answers {port, told: {auth: [mechanism], plain: text before TLS}, close}. */
export async function fakeXmpp(o) {
	const told = { auth: [], plain: '', connections: 0 };
	const sockets = new Set();
	const keep = (s) => { sockets.add(s); s.on('close', () => sockets.delete(s)); s.on('error', () => {}); };

	function inside(s) {
		let text = '';
		let done = false;
		s.on('data', (d) => {
			text += d;
			if (/<stream:stream[^>]*>/.test(text)) {
				text = '';
				s.write(HEADER(o.domain) + FEATURES(done ? "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>" : MECHANISMS(o.mechanisms)));
			}
			const auth = /<auth\b[^>]*mechanism=["']([^"']+)["']/.exec(text);
			if (auth) {
				told.auth.push(auth[1]);
				text = '';
				const answer = typeof o.answer === 'function' ? o.answer(auth[1]) : o.answer;
				done = answer.includes('<success');
				s.write(answer);
			}
			const bind = /<iq\b[^>]*id=["']([^"']+)["'][^>]*>.*<bind/.exec(text);
			if (bind) {
				text = '';
				s.write(`<iq type='result' id='${bind[1]}'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>tina@${o.domain}/x</jid></bind></iq>`, () => { if (o.slam) s.destroy(); });
			}
		});
	}

	const server = net.createServer((s) => {
		keep(s);
		told.connections++;
		if (o.raw) { s.write(o.raw); return; }
		const on = (d) => {
			told.plain += d;
			if (/<starttls/.test(String(d))) {
				s.off('data', on);
				s.write("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
				const t = new tls.TLSSocket(s, { isServer: true, key: o.key, cert: o.cert });
				keep(t);
				inside(t);
			} else if (/<stream:stream/.test(String(d))) {
				s.write(HEADER(o.domain) + FEATURES(o.before ?? TLS));
			}
		};
		s.on('data', on);
	});
	await new Promise((r) => server.listen(0, '127.0.0.1', r));
	return {
		port: server.address().port, told,
		close() { for (const s of sockets) s.destroy(); return new Promise((r) => server.close(r)); },
	};
}

export { MECHANISMS, TLS };
