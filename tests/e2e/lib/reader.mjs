// SPDX-License-Identifier: MIT
// reader: an XMPP client as a dashboard would be: @xmpp/client over the
// server's WebSocket, subscribing to nodes and keeping the newest item of each.
import { client, xml } from '@xmpp/client';
import { webcrypto } from 'node:crypto';
import { WebSocket } from 'ws';
export { xml };
import { waitFor } from '../../../tools/instance.mjs';

// What @xmpp/client expects of a browser: Node 18 has neither, Node 20 no WebSocket.
globalThis.WebSocket ??= WebSocket;
globalThis.crypto ??= webcrypto;

const PUBSUB = 'http://jabber.org/protocol/pubsub';
const EVENT = 'http://jabber.org/protocol/pubsub#event';

/** The JSON inside an item's payload. */
export function payloadOf(item) {
	return JSON.parse(item.getChild('payload').getChildText('json'));
}

export class Reader {
	constructor(instance, user, resource) {
		const { xmpp } = instance.describe();
		const [username] = user.jid.split('@');
		this.client = client({ service: xmpp.websocket, domain: xmpp.domain, username, password: user.password, resource });
		this.client.timeout = 15_000; // for each step of a login; after one that fails it stays where it is
		this.items = new Map();  // "node id" -> payload
		this.newest = new Map(); // "node id" -> seq, also of items that are gone
		this.received = [];      // every item in order: {node, id, payload}
		this.ended = [];         // nodes whose subscription was ended by the service
		this.went_back = [];     // items whose seq was lower than one seen before
		this.client.on('error', () => {});
		this.client.on('stanza', (s) => this.onStanza(s));
	}

	async start() {
		await this.client.start();
		await this.managed();
		return this;
	}

	/** Before anything is sent: the client forgets what it counted before stream management is on, and
	 *  the server ends the stream when the counts differ. */
	managed() { return waitFor(() => this.client.streamManagement.enabled, 'stream management', 15_000); }

	onStanza(stanza) {
		const event = stanza.is('message') && stanza.getChild('event', EVENT);
		if (!event) return;
		for (const sub of event.getChildren('subscription'))
			if (sub.attrs.subscription === 'none') this.ended.push(sub.attrs.node);
		for (const items of event.getChildren('items'))
			for (const item of items.getChildren('item')) this.onItem(items.attrs.node, item);
		for (const items of event.getChildren('items'))
			for (const { attrs } of items.getChildren('retract')) this.onGone((k) => k === `${items.attrs.node} ${attrs.id}`);
		for (const { attrs } of event.getChildren('purge')) this.onGone((k) => k.startsWith(`${attrs.node} `));
	}

	onGone(matches) {
		for (const key of [...this.items.keys()].filter(matches)) this.items.delete(key);
	}

	onItem(node, item) {
		const key = `${node} ${item.attrs.id}`;
		const payload = payloadOf(item);
		const before = this.newest.get(key) ?? 0;
		if (before > payload.seq) this.went_back.push({ key, before, now: payload.seq });
		this.newest.set(key, payload.seq);
		this.items.set(key, payload);
		this.received.push({ node, id: item.attrs.id, payload });
	}

	iq(type, to, child, ms = 15_000) {
		return this.client.iqCaller.request(xml('iq', { type, to }, child), ms);
	}

	/** The error condition of a refused request, or null when it was granted. */
	async refusal(promise) {
		try {
			await promise;
			return null;
		} catch (e) {
			return e.condition ?? e.message;
		}
	}

	presence(to, type) {
		return this.client.send(xml('presence', type ? { to, type } : { to }));
	}

	/** Says to its server that it is there, now and whenever its stream is new, so that messages to
	 *  the account come to it. */
	available() {
		const say = () => this.managed().then(() => this.client.send(xml('presence')));
		this.client.on('online', () => say().catch(() => {}));
		return say();
	}

	get jid() { return this.client.jid.toString(); }

	subscribe(service, node, jid = this.jid) {
		return this.iq('set', service, xml('pubsub', { xmlns: PUBSUB }, xml('subscribe', { node, jid })));
	}

	unsubscribe(service, node, jid = this.jid) {
		return this.iq('set', service, xml('pubsub', { xmlns: PUBSUB }, xml('unsubscribe', { node, jid })));
	}

	async discoItems(service, node) {
		const r = await this.iq('get', service, xml('query', { xmlns: 'http://jabber.org/protocol/disco#items', ...(node ? { node } : {}) }));
		return r.getChild('query').getChildren('item').map((i) => i.attrs);
	}

	async retrieve(service, node) {
		const r = await this.iq('get', service, xml('pubsub', { xmlns: PUBSUB }, xml('items', { node })));
		const items = r.getChild('pubsub').getChild('items').getChildren('item');
		return Object.fromEntries(items.map((i) => [i.attrs.id, payloadOf(i)]));
	}

	item(node, id) { return this.items.get(`${node} ${id}`); }

	async until(node, id, test, ms) {
		await waitFor(() => { const p = this.item(node, id); return p && test(p); }, `item ${id} of ${node}`, ms);
		return this.item(node, id);
	}

	stop() { return this.client.stop().catch(() => {}); }
}

/** A dashboard: subscribes to [service, node] pairs again whenever its stream is new. */
export async function startDashboard(instance, user, nodes) {
	const reader = new Reader(instance, user);
	let stream = 0;
	reader.client.on('online', async () => {
		const mine = ++stream; // nothing may be sent into the next stream before that one is authenticated
		const lost = () => stream !== mine || reader.client.status !== 'online';
		await reader.managed().catch(() => {});
		for (const service of new Set(nodes.map(([s]) => s))) if (!lost()) await reader.presence(service).catch(() => {});
		for (const [service, node] of nodes)
			await waitFor(async () => lost() || (await reader.refusal(reader.subscribe(service, node))) === null, `subscription to ${node}`).catch(() => {});
		reader.subscribed = !lost();
	});
	reader.client.on('disconnect', () => {
		stream++;
		reader.subscribed = false;
	});
	await reader.start();
	await waitFor(() => reader.subscribed, 'the first subscriptions');
	return reader;
}
