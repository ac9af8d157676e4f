// SPDX-License-Identifier: MIT
// raw: XMPP peers of the benchmark that cost next to nothing: they read bytes and
// count, no XML is parsed. Clients log in over STARTTLS with PLAIN, as production
// does; the component only sends (XEP-0114).
import { createHash } from 'node:crypto';
import * as net from 'node:net';
import * as tls from 'node:tls';
import { waitFor } from '../../tools/instance.mjs';

const PUBSUB = 'http://jabber.org/protocol/pubsub';

/** How often `what` stands in the bytes that come in pieces. */
class Counter {
	constructor(what) { this.what = Buffer.from(what); this.tail = Buffer.alloc(0); this.n = 0; }
	feed(chunk) {
		const b = Buffer.concat([this.tail, chunk]);
		let i = 0;
		for (let at; (at = b.indexOf(this.what, i)) !== -1; i = at + this.what.length) this.n++;
		this.tail = b.subarray(Math.max(i, b.length - this.what.length + 1));
	}
}

class Peer {
	text = '';     // what came since the last step, while logging in
	open = false;
	async step(send, until) {
		if (this.failed) throw new Error(this.failed);
		this.text = '';
		if (send) this.socket.write(send);
		return waitFor(() => {
			if (this.failed) throw new Error(this.failed);
			const m = until.exec(this.text);
			if (!m && /<(stream:error|failure)/.test(this.text)) throw new Error(this.text);
			return m;
		}, `${until} in ${this.constructor.name}`, 30_000);
	}
	attach(socket) {
		this.socket = socket;
		socket.on('error', (e) => { this.failed = e.message; });
		socket.on('close', () => { this.failed ??= 'closed'; });
		socket.on('data', (b) => {
			if (this.open) this.onBytes(b);
			else this.text += b.toString();
		});
	}
	stop() { this.socket.destroy(); }
}

export class RawClient extends Peer {
	items = new Counter('<item ');
	bodies = new Counter('<body');
	messages = new Counter('<message');
	bytes = 0;
	onBytes(b) {
		this.bytes += b.length;
		this.items.feed(b);
		this.bodies.feed(b);
		this.messages.feed(b);
		this.onbody?.(b);
	}
	async start(d, user) {
		const [name, domain] = user.jid.split('@');
		const header = `<?xml version='1.0'?><stream:stream to='${domain}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`;
		const plain = net.connect(d.ports.c2s, '127.0.0.1');
		this.attach(plain);
		await this.step(header, /<\/stream:features>/);
		await this.step("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", /<proceed/);
		plain.removeAllListeners('data');
		this.attach(tls.connect({ socket: plain, servername: domain, ...d.tlsOptions }));
		await this.step(header, /<\/stream:features>/);
		await this.step(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${Buffer.from(`\0${name}\0${user.password}`).toString('base64')}</auth>`, /<success/);
		await this.step(header, /<\/stream:features>/);
		const bound = await this.step("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", /<jid>([^<]+)<\/jid>/);
		this.jid = bound[1];
		return this;
	}
	/** Subscribes; what follows is counted. At the server's own service by bare JID, being available. */
	async subscribe(service, node, { digest = 0, bare = false } = {}) {
		const field = (name, value) => `<field var='${name}'><value>${value}</value></field>`;
		const options = digest === 0 ? '' : `<options><x xmlns='jabber:x:data' type='submit'>${field('FORM_TYPE', 'http://jabber.org/protocol/pubsub#subscribe_options')}${field('pubsub#digest', 1)}${field('pubsub#digest_frequency', digest)}</x></options>`;
		this.open = false;
		this.address = bare ? this.jid.split('/')[0] : this.jid;
		this.socket.write(bare ? '<presence/>' : `<presence to='${service}'/>`);
		await this.step(`<iq type='set' id='sub' to='${service}'><pubsub xmlns='${PUBSUB}'><subscribe node='${node}' jid='${this.address}'/>${options}</pubsub></iq>`, /<iq[^>]*type=['"]result/);
		this.open = true;
	}
	async unsubscribe(service, node) {
		this.open = false;
		await this.step(`<iq type='set' id='unsub' to='${service}'><pubsub xmlns='${PUBSUB}'><unsubscribe node='${node}' jid='${this.address}'/></pubsub></iq>`, /<iq[^>]*id=['"]unsub/);
		this.open = true;
	}
}

/** The baseline: a component that does nothing but send messages, as fast as a
 *  schedule says, bounded as lecternd is: a ping must come back every 50 messages. */
export class RawComponent extends Peer {
	pongs = new Counter('pong-');
	sent = 0;
	pings = 0;
	onBytes(b) { this.pongs.feed(b); }
	async start(d, jid) {
		this.jid = jid;
		this.domain = d.domain;
		this.attach(net.connect(d.ports.component, '127.0.0.1'));
		const header = await this.step(`<stream:stream to='${jid}' xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'>`, /<stream:stream[^>]* id=['"]([^'"]+)/);
		await this.step(`<handshake>${createHash('sha1').update(header[1] + d.secrets[jid]).digest('hex')}</handshake>`, /<handshake/);
		this.open = true;
		return this;
	}
	get mayGo() { return this.pings - this.pongs.n < 4; }
	message(to, filler) {
		let out = `<message from='${this.jid}' to='${to}' type='headline' id='m${++this.sent}'><body>${filler}</body></message>`;
		if (this.sent % 50 === 0) out += `<iq type='get' from='${this.jid}' to='${this.domain}' id='pong-${++this.pings}'><ping xmlns='urn:xmpp:ping'/></iq>`;
		this.socket.write(out);
	}
}
