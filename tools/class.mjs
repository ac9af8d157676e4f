// SPDX-License-Identifier: MIT
// class: a simulated class that types into documents, as the Google Docs
// extension would report it. Uses acks: resends what was not acknowledged.
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import * as path from 'node:path';
import { ROOT } from './instance.mjs';

const require = createRequire(path.join(ROOT, 'tests', 'e2e', 'package.json'));
const { WebSocket } = require('ws');

const SOURCE = 'org.mitros.writing_analytics';
const WORDS = 'the river ran past our school and every autumn it carried leaves of all colours to the sea'.split(' ');
const RECONNECT_MS = 500;

/** One keystroke as the extension sends it, about 0.9 kB. */
export function keystroke(key, doc, ms) {
	return {
		event: 'keystroke', event_type: 'keystroke',
		keystroke: {
			altKey: false, charCode: 0, code: `Key${key.toUpperCase()}`, ctrlKey: false, isComposing: false, isTrusted: true,
			key, keyCode: key.toUpperCase().charCodeAt(0), location: 0, metaKey: false, repeat: false, shiftKey: false,
			'target.className': 'docs-texteventtarget-descendant', 'target.id': '', 'target.nodeType': 1, 'target.localName': 'div',
			timeStamp: ms % 1e7, type: 'keydown', which: key.toUpperCase().charCodeAt(0),
		},
		frameindex: '1',
		object: {
			type: 'http://schema.learning-observer.org/writing-observer/', title: `Essay ${doc} #essay`, id: doc, tab_id: 't.0',
			url: `https://docs.google.com/document/d/${doc}/edit?tab=t.0`,
		},
		readyState: 'complete', wa_source: 'client_page', metadata: { iso_ts: new Date(ms).toISOString() },
	};
}

export function save(text, at, doc, rev, ms) {
	return {
		event: 'google_docs_save', doc_id: doc, tab_id: 't.0', url: `https://docs.google.com/document/d/${doc}/save`,
		bundles: [{ commands: [{ ty: 'is', ibi: at, s: text }], sid: '6f0a', reqId: rev }], rev: [String(rev)], timestamp: ms,
		metadata: { iso_ts: new Date(ms).toISOString() },
	};
}

/** One student's browser: types, keeps what is not acknowledged, reconnects. */
export class Student {
	constructor(url, userId, { doc = `doc-${userId}`, fields = {}, options = {} } = {}) {
		Object.assign(this, { url, userId, doc, fields, options });
		this.stream = randomUUID();
		this.seq = 0;        // of the newest event
		this.acked = 0;      // highest acknowledged
		this.waiting = [];   // events sent or to be sent, not yet acknowledged
		this.position = 1;
		this.rev = 0;
		this.stopped = false;
	}

	connect() {
		const socket = this.socket = new WebSocket(this.url, this.options);
		let resumed = false; // the server told us where it stands
		socket.on('open', () => {
			const fields = { source: SOURCE, version: '1.0.0.2', user_id: this.userId, stream: this.stream, ...this.fields };
			socket.send(JSON.stringify({ event: 'lock_fields', fields }));
		});
		socket.on('message', (text) => {
			const m = JSON.parse(text);
			if (m.status !== 'ack' || m.stream !== this.stream) return;
			this.acked = Math.max(this.acked, m.seq);
			while (this.waiting.length > 0 && this.waiting[0].seq <= this.acked) this.waiting.shift();
			this.onack?.(m.seq);
			if (!resumed) {
				resumed = this.live = true;
				for (const e of this.waiting) socket.send(JSON.stringify(e));
			}
		});
		socket.on('error', () => {});
		socket.on('close', () => {
			this.live = false;
			if (!this.stopped) this.retry = setTimeout(() => this.connect(), RECONNECT_MS);
		});
		return this;
	}

	send(event) {
		const e = { ...event, seq: ++this.seq };
		this.waiting.push(e);
		if (this.live) this.socket.send(JSON.stringify(e));
		return e;
	}

	/** Types one word: a keystroke for each letter, then a save. */
	type() {
		const word = WORDS[Math.floor(Math.random() * WORDS.length)] + ' ';
		const now = Date.now();
		for (const c of word.trim()) this.send(keystroke(c, this.doc, now));
		this.send(save(word, this.position, this.doc, ++this.rev, now));
		this.position += word.length;
	}

	stop() {
		this.stopped = true;
		clearTimeout(this.retry);
		this.socket?.close();
	}
}

export class SimulatedClass {
	constructor(instance) {
		this.students = instance.students.map((s) => new Student(instance.events, s.user_id));
	}

	start() {
		for (const s of this.students) {
			s.connect();
			const tick = () => {
				s.type();
				s.timer = setTimeout(tick, 500 + Math.random() * 2500);
			};
			s.timer = setTimeout(tick, Math.random() * 2000);
		}
		return this;
	}

	stop() {
		for (const s of this.students) {
			clearTimeout(s.timer);
			s.stop();
		}
	}
}
