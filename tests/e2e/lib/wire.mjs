// SPDX-License-Identifier: MIT
// wire: a WebSocket client that can do everything wrong. Builds frames byte by
// byte and reports what the server answers, down to the end of the connection.
import { randomBytes } from 'node:crypto';
import * as net from 'node:net';
import * as tls from 'node:tls';

const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);

/** Bytes of a text as the data file writes it: a string, or a list of strings, {hex} and {repeat, times | fill}. */
export function bytes(text, seq = (t) => t) {
	if (typeof text === 'string') return Buffer.from(seq(text), 'utf8');
	const parts = text.map((p) => {
		if (typeof p === 'string') return Buffer.from(seq(p), 'utf8');
		if ('hex' in p) return Buffer.from(p.hex, 'hex');
		return p;
	});
	const fixed = parts.reduce((n, p) => n + (Buffer.isBuffer(p) ? p.length : 0), 0);
	return Buffer.concat(parts.map((p) => {
		if (Buffer.isBuffer(p)) return p;
		return Buffer.from(p.repeat.repeat('fill' in p ? p.fill - fixed : p.times), 'utf8');
	}));
}

/** RFC 6455 §5.2. length: what the head says, if not the truth. */
export function frame({ op = 1, fin = true, rsv = 0, mask = true, length }, payload) {
	const n = length === undefined ? BigInt(payload.length) : BigInt(length);
	const head = [(fin ? 0x80 : 0) | (rsv << 4) | op];
	const masked = mask ? 0x80 : 0;
	if (n < 126n) head.push(masked | Number(n));
	else if (n < 65536n) head.push(masked | 126, Number(n >> 8n), Number(n & 255n));
	else {
		head.push(masked | 127);
		for (let shift = 56n; shift >= 0n; shift -= 8n) head.push(Number((n >> shift) & 255n));
	}
	const body = Buffer.from(payload);
	if (mask) for (let i = 0; i < body.length; i++) body[i] ^= MASK[i & 3];
	return Buffer.concat([Buffer.from(head), ...(mask ? [MASK] : []), body]);
}

export class Wire {
	/** url: ws://host:port/path or wss://.. (any certificate will do) */
	constructor(url) {
		const u = new URL(url);
		this.host = u.host;
		this.path = u.pathname;
		this.tcp = net.connect({ host: u.hostname, port: Number(u.port), noDelay: true });
		this.socket = u.protocol === 'wss:' ? tls.connect({ socket: this.tcp, rejectUnauthorized: false }) : this.tcp;
		this.input = Buffer.alloc(0);
		this.answer = null;   // of the handshake: {status, head, body}
		this.frames = [];     // {op, payload}
		this.ended = null;    // 'end', or the error's code
		this.waiters = new Set();
		this.socket.on('data', (d) => this.received(d));
		this.socket.on('end', () => this.over('end'));
		this.socket.on('error', (e) => this.over(e.code));
		this.socket.on('close', () => this.over('end'));
	}

	over(how) {
		this.ended ??= how;
		if (this.answer === null && this.input.length > 0) this.readAnswer(true);
		this.wake();
	}

	wake() { for (const w of [...this.waiters]) w(); }

	received(data) {
		this.input = this.input.length > 0 ? Buffer.concat([this.input, data]) : data;
		if (this.answer === null) this.readAnswer(false);
		if (this.answer?.status === 101) this.readFrames();
		this.wake();
	}

	readAnswer(last) {
		const end = this.input.indexOf('\r\n\r\n');
		if (end < 0) return;
		const head = this.input.subarray(0, end).toString('latin1');
		const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1] ?? -1);
		const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0);
		if (this.input.length < end + 4 + length && !last) return;
		this.answer = { status, head, body: this.input.subarray(end + 4, end + 4 + length).toString('utf8') };
		this.input = this.input.subarray(end + 4 + length);
	}

	readFrames() {
		let at = 0;
		for (;;) {
			const left = this.input.length - at;
			if (left < 2) break;
			let n = this.input[at + 1], size = 2;
			if (n === 126 && left >= 4) { n = this.input.readUInt16BE(at + 2); size = 4; }
			else if (n === 127 && left >= 10) { n = Number(this.input.readBigUInt64BE(at + 2)); size = 10; }
			else if (n > 125) break;
			if (left < size + n) break;
			this.frames.push({ op: this.input[at] & 15, payload: Buffer.from(this.input.subarray(at + size, at + size + n)) });
			at += size + n;
		}
		this.input = this.input.subarray(at);
	}

	/** Waits until test() answers something true, or the deadline. */
	until(test, what, ms) {
		return new Promise((ok, no) => {
			const check = () => {
				const got = test();
				if (!got) return;
				clearTimeout(timer);
				this.waiters.delete(check);
				ok(got);
			};
			const timer = setTimeout(() => {
				this.waiters.delete(check);
				no(new Error(`waited too long for ${what}`));
			}, ms);
			this.waiters.add(check);
			check();
		});
	}

	write(data) { if (!this.socket.destroyed) this.socket.write(data); }

	/** The good handshake with changes; its bytes. */
	request({ method = 'GET', path, version = 'HTTP/1.1', set = {}, lines = [], fields } = {}) {
		const headers = {
			Host: this.host, Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
			'Sec-WebSocket-Version': '13', Origin: 'https://good.example', ...set,
		};
		const text = (t) => (typeof t === 'string' ? t : bytes(t).toString('utf8'));
		const all = [
			`${method} ${text(path ?? this.path)} ${version}`,
			...Object.entries(headers).filter(([, v]) => v !== null).map(([k, v]) => `${k}: ${text(v)}`),
			...lines,
			...Array.from({ length: fields?.times ?? 0 }, (_, i) => `X-Field-${i}: ${'x'.repeat(fields.size)}`),
		];
		return Buffer.from(all.join('\r\n') + '\r\n\r\n', 'latin1');
	}

	get texts() { return this.frames.filter((f) => f.op === 1).map((f) => f.payload.toString('utf8')); }
	get pongs() { return this.frames.filter((f) => f.op === 10).length; }
	/** Code of the server's Close frame; 0 for an empty one. */
	get closeCode() {
		const f = this.frames.find((x) => x.op === 8);
		return f ? (f.payload.length >= 2 ? f.payload.readUInt16BE(0) : 0) : undefined;
	}

	reset() {
		this.tcp.resetAndDestroy();
		this.over('reset');
	}

	destroy() { this.socket.destroy(); }
}
