// SPDX-License-Identifier: MIT
// feed: signs in on the web side and follows nodes on the feed WebSocket, as a page
// in a browser would.
import * as http from 'node:http';
import * as https from 'node:https';
import { createRequire } from 'node:module';
import * as path from 'node:path';
import { ROOT, waitFor } from './instance.mjs';

const require = createRequire(path.join(ROOT, 'tests', 'e2e', 'package.json'));
const { WebSocket } = require('ws');

/** One HTTP request; answers {status, headers, text, json}. */
export function ask(instance, method, address, { cookie, origin, body, type, headers = {} } = {}) {
	const { tls } = instance.o;
	return new Promise((ok, no) => {
		const r = (tls ? https : http).request({
			host: tls ? 'localhost' : instance.host, port: instance.ports.web, method, path: address, agent: false, ...(tls && instance.tlsOptions),
			headers: {
				...(cookie && { Cookie: cookie }), ...(origin && { Origin: origin }), ...(type && { 'Content-Type': type }),
				...(body !== undefined && { 'Content-Length': Buffer.byteLength(body) }), ...headers,
			},
		}, (res) => {
			let text = '';
			res.setEncoding('utf8');
			res.on('data', (d) => { text += d; });
			res.on('end', () => {
				let json;
				try { json = JSON.parse(text); } catch { json = undefined; }
				ok({ status: res.statusCode, headers: res.headers, text, json });
			});
		});
		r.on('error', no);
		r.end(body);
	});
}

/** The answer of the sign-in; `cookie` is what it set. */
export async function trySignIn(instance, username, password, options = {}) {
	const a = await ask(instance, 'POST', '/auth/login/password', {
		type: 'application/json', body: JSON.stringify({ username, password }), ...options,
	});
	a.cookie = a.headers['set-cookie']?.[0].split(';')[0];
	return a;
}

/** The cookie of a user of the instance who signed in. */
export async function signIn(instance, user) {
	const a = await trySignIn(instance, user.jid, user.password);
	if (a.json?.status !== 'authorized') throw new Error(`${user.jid} cannot sign in: ${a.status} ${a.text}`);
	return a.cookie;
}

/** Follows nodes; keeps the newest item of each. */
export class Feed {
	constructor(instance, cookie, { origin, headers = {} } = {}) {
		this.items = new Map();  // "node id" -> item
		this.received = [];      // every message
		this.went_back = [];     // items whose seq was lower than one seen before
		this.newest = new Map();
		this.socket = new WebSocket(instance.feed, {
			...(instance.o.tls && instance.tlsOptions), headers: { ...(cookie && { Cookie: cookie }), ...(origin && { Origin: origin }), ...headers },
		});
		this.opened = new Promise((r, no) => {
			this.socket.on('open', () => r(this));
			this.socket.on('error', no);
			this.socket.on('unexpected-response', (_, res) => no(Object.assign(new Error(`status ${res.statusCode}`), { status: res.statusCode })));
		});
		this.opened.catch(() => {});
		this.closed = new Promise((r) => this.socket.on('close', (code, reason) => r({ code, reason: String(reason) })));
		this.socket.on('message', (m) => this.onMessage(JSON.parse(m)));
	}

	onMessage(m) {
		this.received.push(m);
		if (m.op === 'items') for (const { id, item } of m.items) this.onItem(`${m.node} ${id}`, item);
		if (m.op === 'retract') for (const id of m.ids) this.items.delete(`${m.node} ${id}`);
		if (m.op === 'purge') for (const key of [...this.items.keys()]) if (key.startsWith(`${m.node} `)) this.items.delete(key);
	}

	onItem(key, item) {
		const before = this.newest.get(key) ?? 0;
		if (before > item.seq) this.went_back.push({ key, before, now: item.seq });
		this.newest.set(key, item.seq);
		this.items.set(key, item);
	}

	send(o) { this.socket.send(typeof o === 'string' ? o : JSON.stringify(o)); }
	item(node, id) { return this.items.get(`${node} ${id}`); }

	/** The first message from number `from` on that fits. */
	async message(fits, what, from = 0) {
		await waitFor(() => this.received.slice(from).some(fits), what);
		return this.received.slice(from).find(fits);
	}

	/** The next answer to what is sent. */
	answer(o, fits = () => true) {
		const from = this.received.length;
		this.send(o);
		return this.message((m) => !['items', 'retract', 'purge'].includes(m.op) && fits(m), `an answer to ${JSON.stringify(o)}`, from);
	}

	subscribe(node, digest_ms) { return this.answer({ op: 'subscribe', node, ...(digest_ms && { digest_ms }) }); }

	close() { this.socket.close(); return this.closed; }
}
