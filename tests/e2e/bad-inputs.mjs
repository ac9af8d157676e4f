// SPDX-License-Identifier: MIT
// bad-inputs: plays every row of bad-inputs.json against a running lecternd,
// with a hundred quiet clients beside it that must notice nothing.
//
//   node tests/e2e/bad-inputs.mjs "$(./dev run --json --no-sim | head -1)" [ID...]
//
// The line of JSON may also stand in LECTERN_INSTANCE. Node's own modules only.
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Wire, bytes, frame } from './lib/wire.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const SOURCE = 'org.mitros.writing_analytics';
const QUIET = 100;
const PATIENCE_MS = 60_000;      // for what should come at once
const LATE_PATIENCE_MS = 180_000; // for what comes when a limit of the daemon has passed
const REACH_MS = 300_000;

const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
const acks = (texts) => texts.map((t) => /^\{"status":"ack".*"seq":(\d+)\}$/.exec(t)?.[1]).filter(Boolean).map(BigInt);
const others = (texts) => texts.map((t) => JSON.parse(t)).filter((m) => m.status !== 'ack' && m.status !== 'auth');

export const rows = JSON.parse(fs.readFileSync(path.join(HERE, 'bad-inputs.json'), 'utf8')).rows;

/** What lecternctl says of the instance. */
function control(info) {
	const build = process.env.LECTERN_BUILD ?? path.resolve(HERE, '../../build');
	const ctl = (...args) => execFileSync(path.join(build, 'lecternctl'), [...args, '-c', info.config],
		{ encoding: 'utf8', maxBuffer: 1 << 30, stdio: ['ignore', 'pipe', 'pipe'] });
	return {
		status: () => JSON.parse(ctl('status')),
		/** Events counted for each student. */
		counts: () => new Map(ctl('states').split('\n').filter(Boolean).map((l) => JSON.parse(l))
			.filter((s) => s.key.startsWith('Internal,activity.event_count,'))
			.map((s) => [s.key.split('STUDENT:')[1], s.value.count])),
	};
}

/** As the daemon writes an id inside a key. */
const escapeKey = (id) => id.replace(/[%,:]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

class Failure extends Error {}
function must(condition, what) { if (!condition) throw new Failure(what); }
function mustSame(got, want, what) {
	must(JSON.stringify(got) === JSON.stringify(want), `${what}: got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`.slice(0, 600));
}

// ---- a client that behaves ----

class Client {
	constructor(url, fields) {
		this.url = url;
		this.fields = { source: SOURCE, stream: randomUUID(), ...fields };
		this.seq = 0n;
	}

	async open() {
		this.wire = new Wire(this.url);
		this.wire.write(this.wire.request());
		await this.wire.until(() => this.wire.answer || this.wire.ended, 'the handshake', PATIENCE_MS);
		must(this.wire.answer?.status === 101, `the handshake was answered ${this.wire.answer?.status ?? this.wire.ended}`);
		return this;
	}

	say(message) { this.wire.write(frame({}, Buffer.from(JSON.stringify(message)))); }

	/** Says who it is; answers what the server has of the stream. */
	async lock() {
		this.say({ event: 'lock_fields', fields: this.fields });
		const got = await this.wire.until(() => acks(this.wire.texts)[0] !== undefined && acks(this.wire.texts), 'the answer to lock_fields', PATIENCE_MS);
		this.id = JSON.parse(this.wire.texts.find((t) => t.startsWith('{"status":"auth"'))).safe_user_id;
		return got[0];
	}

	/** Sends an ordinary event and waits until it is kept. */
	async event() {
		const seq = ++this.seq;
		this.wire.write(frame({}, Buffer.from(`{"event":"ordinary","seq":${seq}}`)));
		await this.acked(seq);
	}

	async acked(seq) {
		await this.wire.until(() => acks(this.wire.texts).some((a) => a >= seq) || this.wire.ended, `the ack of ${seq}`, PATIENCE_MS);
		must(acks(this.wire.texts).some((a) => a >= seq), `no ack of ${seq}: the connection ended (${this.wire.closeCode ?? this.wire.ended})`);
	}
}

// ---- rows ----

class Player {
	constructor(info, options) {
		this.info = info;
		this.url = info.events;
		this.strict = options.strict ?? false;
		this.control = control(info);
		this.kept = new Map();     // events that must be counted, by key part
		this.codes = {};           // Close codes the daemon must have counted
		this.statuses = {};        // and refusals
	}

	patience(row) { return row.late ? LATE_PATIENCE_MS : PATIENCE_MS; }

	/** Bytes of one step. */
	encode(step, seq) {
		if ('raw' in step) return bytes(step.raw);
		const text = bytes(step.text ?? '', seq);
		const n = step.times ?? 1;
		if (n === 1) return frame(step, text);
		if (!step.text?.includes?.('$seq')) return Buffer.concat(Array(n).fill(frame(step, text)));
		return Buffer.concat([frame(step, text), ...Array.from({ length: n - 1 }, () => frame(step, bytes(step.text, seq)))]);
	}

	async act(step, client) {
		const { wire } = client;
		if (step.act === 'acked') await client.acked(client.seq);
		else if (step.act === 'fin') wire.socket.end();
		else if (step.act === 'reset') wire.reset();
		else if (step.act === 'pause') wire.socket.pause();
		else if (step.act === 'resume') wire.socket.resume();
		else if (step.act === 'await') {
			const seen = () => this.control.status().web.closed[step.closed] ?? 0;
			const before = this.before ?? 0;
			for (const end = Date.now() + LATE_PATIENCE_MS; seen() <= before;) {
				must(Date.now() < end, `the daemon never closed with ${step.closed}`);
				await sleep(200);
			}
		} else throw new Failure(`unknown act ${step.act}`);
	}

	async play(steps, row, client, seq = (t) => t) {
		const { wire } = client;
		const whole = [];
		for (const step of steps) {
			if (step.act === 'pause') this.before = this.control.status().web.closed['1008'] ?? 0;
			if (step.act) await this.act(step, client);
			else if (row.together) whole.push(this.encode(step, seq));
			else if (row.bytewise) for (const b of this.encode(step, seq)) { wire.write(Buffer.from([b])); await new Promise(setImmediate); }
			else wire.write(this.encode(step, seq));
		}
		if (whole.length > 0) wire.write(Buffer.concat(whole));
	}

	async closed(wire, code, patience) {
		await wire.until(() => wire.closeCode !== undefined || wire.ended, `close ${code}`, patience);
		mustSame(wire.closeCode, code, `close code (${wire.ended ?? 'open'})`);
		await wire.until(() => wire.ended, 'the end of the connection', PATIENCE_MS);
		mustSame(wire.ended, 'end', 'the way the connection ended');
	}

	// a handshake
	async request(row, expect) {
		const n = row.request.connections ?? 1;
		await Promise.all(Array.from({ length: n }, () => this.oneRequest(row, expect)));
	}

	async oneRequest(row, expect) {
		const wire = new Wire(this.url);
		try {
			const sent = 'raw' in row.request ? bytes(row.request.raw) : wire.request(row.request);
			if (row.request.slow) this.trickle(wire, sent);
			else if (sent.length > 0) wire.write(sent);
			await wire.until(() => wire.answer || wire.ended, 'an answer', this.patience(row));
			const status = wire.answer?.status;
			if (expect.end) return mustSame([status, wire.ended], [undefined, 'end'], 'a silent end');
			mustSame(status, expect.open ? 101 : expect.http, `status (${wire.ended ?? 'open'})`);
			if (expect.header) must(wire.answer.head.includes(`\r\n${expect.header}`), `the answer has ${expect.header}`);
			if (expect.no_header) must(!wire.answer.head.includes(`\r\n${expect.no_header}`), `the answer has no ${expect.no_header}`);
			if (expect.open) return;
			must(/^[A-Z].*\.\n$/.test(wire.answer.body), 'one plain sentence as the body');
			must(/\r\nConnection: close/i.test(wire.answer.head), 'Connection: close');
			await wire.until(() => wire.ended, 'the end of the connection', PATIENCE_MS);
			this.statuses[expect.http] = (this.statuses[expect.http] ?? 0) + 1;
		} finally {
			wire.destroy();
		}
	}

	async trickle(wire, sent) {
		for (const b of sent) {
			if (wire.ended || wire.answer) return;
			wire.write(Buffer.from([b]));
			await sleep(1000);
		}
	}

	// steps on an open connection that says nothing else
	async open(row, expect) {
		const wire = new Wire(this.url);
		try {
			wire.write(wire.request());
			await wire.until(() => wire.answer, 'the handshake', PATIENCE_MS);
			await this.play(row.open, row, { wire });
			await this.closed(wire, expect.close, this.patience(row));
			if (row.open.every((s) => s.op !== 8 || expect.close !== 1001)) this.count(expect.close);
		} finally {
			wire.destroy();
		}
	}

	count(code) { this.codes[code] = (this.codes[code] ?? 0) + 1; }

	/** Replaces $seq and $last, and remembers what numbers were used. */
	numbering(client) {
		return (t) => t.replaceAll('$seq', () => `${++client.seq}`).replaceAll('$last', () => `${client.seq}`);
	}

	// steps of an identified student
	async send(row, expect) {
		const known = row.lock !== null;
		const client = await new Client(this.url, { user_id: `bad-${row.id}`, ...row.lock }).open();
		const twin = row.twice ? await new Client(this.url, { ...client.fields }).open() : null;
		try {
			if (known) {
				await client.lock();
				await client.event();
				await twin?.lock();
			}
			const before = client.wire.texts.length;
			const steps = row.value ? this.values(row, expect) : row.send;
			for (const step of steps) if (step.seq) client.next = BigInt(step.seq);
			await this.play(steps, row, client, this.numbering(client));
			if (twin) { twin.seq = 1n; await this.play(steps, row, twin, this.numbering(twin)); }
			if (client.next > client.seq) client.seq = client.next;
			await this.judge(row, expect, steps, client, twin, before, known);
		} finally {
			client.wire.destroy();
			twin?.wire.destroy();
		}
	}

	values(row, expect) {
		return row.value.map((v) => ({ text: expect.errors ? `{"event":"v","v":${v}}` : `{"event":"v","seq":$seq,"v":${v}}` }));
	}

	async judge(row, expect, steps, client, twin, before, known) {
		const { wire } = client;
		const sent = steps.reduce((n, s) => n + (s.act || s.partial || (s.op ?? 1) > 2 ? 0 : s.times ?? 1), 0);
		let counted = known ? 1 : 0;
		if (expect.close !== undefined) {
			await this.closed(wire, expect.close, this.patience(row));
			if (expect.close !== 1000) this.count(expect.close);
		} else if (expect.resume === undefined) {
			if (twin) { await client.acked(client.seq); await twin.acked(twin.seq); }
			await client.event();
			counted++;
			must(wire.ended === null, 'the connection lives');
		}
		const answers = others(wire.texts.slice(before));
		const errors = answers.filter((a) => a.status === 'error').map((a) => a.code);
		must(answers.every((a) => a.status !== 'error' || a.message), 'errors carry a sentence');
		if (typeof expect.errors === 'string') {
			must(errors.length > 0 && errors.every((e) => e === expect.errors), `errors: ${JSON.stringify(errors)}`.slice(0, 300));
			if (expect.close === undefined) mustSame(errors.length, sent, 'number of errors');
		} else {
			mustSame(errors, expect.errors ?? [], 'errors');
		}
		if (expect.answers) mustSame(answers, expect.answers, 'answers');
		if (expect.pongs) mustSame(wire.pongs, expect.pongs, 'pongs');
		for (const a of expect.acked ?? []) must(acks(wire.texts).some((x) => x >= BigInt(a)), `ack of ${a}`);
		counted += expect.kept ?? (expect.errors ? 0 : sent);
		if (known) this.kept.set(escapeKey(client.id), (this.kept.get(escapeKey(client.id)) ?? 0) + counted);
		if (expect.resume !== undefined) await this.resume(client, expect.resume);
	}

	async resume(client, seq) {
		await client.wire.until(() => client.wire.ended, 'the end of the connection', PATIENCE_MS);
		const again = await new Client(this.url, client.fields).open();
		try {
			mustSame(String(await again.lock()), seq, 'the number a reconnect is told');
		} finally {
			again.wire.destroy();
		}
	}

	async row(row) {
		const expect = row.strict && !this.strict ? row.lax : row.expect;
		if (row.request) await this.request(row, expect);
		else if (row.open) await this.open(row, expect);
		else await this.send(row, expect);
	}

	/** The ledger: all that was accepted is counted once, nothing else is. */
	ledger() {
		const counts = this.control.counts();
		for (const [id, n] of this.kept) mustSame(counts.get(id), n, `events counted for ${id}`);
	}

	/** The daemon's own counters, when it has no other clients. */
	counters() {
		const { web } = this.control.status();
		for (const [status, n] of Object.entries(this.statuses)) mustSame(web.refused[status], n, `refusals with ${status}`);
		for (const [code, n] of Object.entries(this.codes)) mustSame(web.closed[code], n, `closes with ${code}`);
	}
}

// ---- the quiet ones ----

class Quiet {
	constructor(url, i) {
		this.client = new Client(url, { user_id: `quiet-${i}` });
		this.going = true;
	}

	async start() {
		await this.client.open();
		await this.client.lock();
		this.done = this.work();
		return this;
	}

	async work() {
		try {
			while (this.going) {
				await this.client.event();
				await sleep(300 + Math.random() * 400);
			}
		} catch (e) {
			this.trouble = e.message;
		}
	}

	async stop() {
		this.going = false;
		await this.done;
		must(!this.trouble, `a quiet client: ${this.trouble}`);
		must(this.client.wire.ended === null && this.client.wire.closeCode === undefined, 'a quiet client was closed');
		mustSame(others(this.client.wire.texts), [], 'what a quiet client was told besides acks');
	}
}

/** Plays the rows (all, or those named); prints TAP lines; answers the number of failures. */
export async function playAll(info, { strict = false, alone = false, only = [], print = console.log } = {}) {
	const player = new Player(info, { strict });
	const secure = info.events.startsWith('wss:');
	const wanted = rows.filter((r) => (only.length === 0 || only.includes(r.id)) && !(r.plain && secure));
	let failures = 0;
	const report = async (name, what) => {
		try {
			await what();
			print(`ok - ${name}`);
		} catch (e) {
			failures++;
			print(`not ok - ${name}\n# ${e instanceof Failure ? e.message : e.stack}`);
		}
	};
	const play = (row) => report(`${row.id} ${row.what}`, () => player.row(row));
	const quiet = await Promise.all(Array.from({ length: QUIET }, (_, i) => new Quiet(info.events, i).start()));
	const late = wanted.filter((r) => r.late).map(play);
	for (const row of wanted.filter((r) => !r.late)) await play(row);
	await Promise.all(late);
	await report(`${QUIET} quiet clients noticed nothing`, async () => {
		for (const q of quiet) await q.stop();
		for (const q of quiet) player.kept.set(escapeKey(q.client.id), Number(q.client.seq));
	});
	await report('what was accepted is counted once, what was refused is not', () => player.ledger());
	if (alone) await report('the counters of the reasons rose by one each time', () => player.counters());
	quiet.forEach((q) => q.client.wire.destroy());
	return failures;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	const args = process.argv.slice(2);
	const info = JSON.parse(args[0]?.startsWith('{') ? args.shift() : process.env.LECTERN_INSTANCE ?? 'null');
	if (info === null) {
		console.error('usage: bad-inputs.mjs JSON [ID...], JSON as ./dev run --json prints it');
		process.exit(64);
	}
	const limit = setTimeout(() => { console.log('not ok - the rows did not end in time'); process.exit(1); }, REACH_MS);
	const failures = await playAll(info, { only: args });
	clearTimeout(limit);
	process.exit(failures > 0 ? 1 : 0);
}
