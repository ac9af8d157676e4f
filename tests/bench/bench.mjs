// SPDX-License-Identifier: MIT
// bench: what `./dev bench` prints: ratios measured in one run, lecternd and its
// baseline in turns, with minimum, median and maximum. Never asserted anywhere.
//   ./dev bench [ingest] [memory] [start] [latency] [--rounds N] [--smoke]
import { spawn, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { Instance, ROOT, freePorts, waitFor } from '../../tools/instance.mjs';
import { Student, keystroke, save } from '../../tools/class.mjs';
import { Reader, xml } from '../e2e/lib/reader.mjs';

const { values: args, positionals } = parseArgs({
	allowPositionals: true,
	options: { rounds: { type: 'string', default: '5' }, smoke: { type: 'boolean', default: false } },
});
const ROUNDS = args.smoke ? 1 : Number(args.rounds);
const BUILD = path.join(ROOT, 'build');
const SCALE = args.smoke ? 0.01 : 1;
const SEQ = 1000000000; // the load generator puts the real number here
const work = fs.mkdtempSync(path.join(BUILD, 'bench-')); // on the disk of the tree, not on a tmpfs

const median = (v) => [...v].sort((a, b) => a - b)[Math.floor(v.length / 2)];
const spread = (v) => `min ${Math.min(...v).toFixed(2)}  median ${median(v).toFixed(2)}  max ${Math.max(...v).toFixed(2)}`;
const rss = (pid) => Number(fs.readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]) * 1024;
const cpu = (pid) => { const f = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' '); return Number(f[11]) + Number(f[12]); };

function run(...command) {
	return new Promise((ok, no) => {
		const child = spawn(command[0], command.slice(1).map(String), { stdio: ['ignore', 'pipe', 'inherit'] });
		let out = '';
		child.stdout.on('data', (d) => { out += d; });
		child.on('error', no);
		child.on('exit', (code) => (code === 0 ? ok(out) : no(new Error(`${command[0]} ended with ${code}`))));
	});
}

const load = async (port, connections, events, file, finish) =>
	JSON.parse(await run(path.join(BUILD, 'bench_load'), port, connections, events, file, finish));

let count = 0;
const daemon = (options) => new Instance({ dir: path.join(work, `d${++count}`), server: 'none', logLevel: 'warning', ...options }).start();

async function sink() {
	const [port] = await freePorts(1);
	const child = spawn(path.join(BUILD, 'bench_sink'), [String(port)], { stdio: 'inherit' });
	await new Promise((r) => setTimeout(r, 500));
	return { port, child };
}

function eventFiles() {
	const now = 1795455148000;
	const line = (e) => JSON.stringify({ seq: SEQ, ...e }) + '\n';
	// About 0.9 kB, as a keystroke in a document with a long title is.
	const key = (i) => { const k = keystroke('abcdefghij'[i % 10], `1AbCdEfGhIjKlMnOpQrStUvWxYz0123456789abcdef${i % 4}`, now + i); k.object.title += ' in the library, the second draft of my essay about the river'; k.keystroke['target.className'] += ' docs-texteventtarget-iframe kix-appview-editor'; return k; };
	const mouse = (i) => ({ ...key(i), event: 'mouseclick', event_type: 'mouseclick', mouseclick: { button: 0, clientX: i, clientY: 2 * i, type: 'mousedown', 'target.innerText': 'and the river ran on '.repeat(20) } });
	const keys = Array.from({ length: 64 }, (_, i) => line(key(i)));
	const mix = Array.from({ length: 64 }, (_, i) => line(i % 16 === 15 ? mouse(i) : i % 4 === 3 ? save('the river ', 1 + 10 * i, 'doc-1', i, now) : key(i)));
	const write = (name, lines) => { const f = path.join(work, name); fs.writeFileSync(f, lines.join('')); return [f, Math.round(lines.join('').length / lines.length)]; };
	return { keystrokes: write('keystrokes.jsonl', keys), 'realistic mix': write('mix.jsonl', mix) };
}

async function ingest() {
	console.log('\ningest: events/s through socket, journal (acks on), four reducers, memory KVS, as a share of the bare sink');
	const s = await sink();
	for (const [kind, [file, bytes]] of Object.entries(eventFiles())) {
		for (const connections of [1, 100, 1000]) {
			const events = Math.max(20, Math.round((600_000 * SCALE) / connections));
			const ratios = [], work_share = [];
			for (let i = 0; i < ROUNDS; i++) {
				const base = await load(s.port, connections, events, file, 'pong');
				const d = await daemon();
				const before = cpu(d.lecternd.pid);
				const ours = await load(d.ports.web, connections, events, file, 'ack');
				work_share.push((cpu(d.lecternd.pid) - before) / 100 / ours.seconds);
				await d.stop();
				fs.rmSync(d.dir, { recursive: true });
				ratios.push((ours.events / ours.seconds) / (base.events / base.seconds));
			}
			console.log(`  ${kind} (${bytes} bytes), ${String(connections).padStart(4)} connections: ${spread(ratios)}   (cores busy in lecternd: ${median(work_share).toFixed(2)})`);
		}
	}
	s.child.kill();
}

async function memory() {
	const connections = args.smoke ? 100 : 10_000;
	const d = await daemon({ config: '' });
	const start = rss(d.lecternd.pid);
	const child = spawn(path.join(BUILD, 'bench_load'), [d.ports.web, connections, 0, '-', 'idle'].map(String), { stdio: ['pipe', 'pipe', 'inherit'] });
	await new Promise((r) => child.stdout.once('data', r));
	await waitFor(() => d.status().metrics.connections === connections, 'connections');
	const full = rss(d.lecternd.pid);
	console.log(`\nmemory: ${(start / 2 ** 20).toFixed(1)} MiB resident at start; ${((full - start) / connections / 1024).toFixed(2)} KiB for each of ${connections} idle identified connections`);
	child.stdin.end();
	await d.stop();
}

async function startup() {
	const [file] = eventFiles().keystrokes;
	const records = Math.round(1_000_000 * SCALE);
	const d = await daemon({ config: 'journal { snapshot_records = 100000000 }' });
	await load(d.ports.web, 100, records / 100, file, 'ack');
	await d.lecternd.stop('SIGKILL');
	const journal = path.join(d.state, 'journal');
	const timed = async (f) => { const t = process.hrtime.bigint(); await f(); return Number(process.hrtime.bigint() - t) / 1e9; };
	const hash = () => { const h = createHash('sha256'); for (const f of fs.readdirSync(journal)) if (f.endsWith('.journal')) h.update(fs.readFileSync(path.join(journal, f))); h.digest(); };
	const replay = [], tail = [];
	for (let i = 0; i < ROUNDS; i++) {
		fs.rmSync(path.join(d.state, 'states.snapshot'), { force: true });
		const base = await timed(hash);
		replay.push(await timed(() => d.startLecternd()) / base);
		await d.lecternd.stop();
		tail.push(await timed(() => d.startLecternd()) / base);
		await d.lecternd.stop('SIGKILL');
	}
	console.log(`\nstart with ${records} journal records, as a multiple of reading and hashing the same bytes once`);
	console.log(`  whole replay:      ${spread(replay)}\n  with a snapshot:   ${spread(tail)}`);
}

async function latency() {
	const seconds = args.smoke ? 2 : 20;
	const d = await daemon({ server: 'prosody' });
	const service = d.components.activity, node = `class/${d.class}/activity.event_count`;
	const teacher = await new Reader(d, d.users.teacher).start();
	const other = await new Reader(d, d.users.stranger).start();
	await teacher.presence(service);
	await teacher.subscribe(service, node);
	const students = d.students.slice(0, 10).map((s) => new Student(d.events, s.user_id).connect());
	await waitFor(() => students.every((s) => s.live), 'students');

	// Baseline: a chat message from one client to the other through the same Prosody.
	const base = [], ours = [], waiting = new Map();
	
	teacher.client.on('stanza', (st) => { const id = st.is('message') && st.attrs.id; if (id && waiting.has(id)) { base.push(performance.now() - waiting.get(id)); waiting.delete(id); } });
	const onItem = teacher.onItem.bind(teacher);
	teacher.onItem = (n, item) => { onItem(n, item); const p = teacher.item(n, item.attrs.id); const key = `${item.attrs.id} ${p.state.count}`; if (waiting.has(key)) { ours.push(performance.now() - waiting.get(key)); waiting.delete(key); } };
	for (let i = 0; i < seconds * 100; i++) {
		const s = students[i % students.length];
		waiting.set(`${d.students[i % students.length].pseudonym} ${s.seq + 1}`, performance.now());
		s.send(keystroke('a', 'doc', Date.now()));
		if (i % 10 === 0) { waiting.set(`m${i}`, performance.now()); await other.client.send(xml('message', { to: teacher.jid, type: 'chat', id: `m${i}` }, xml('body', {}, 'x'))); }
		await new Promise((r) => setTimeout(r, 10));
	}
	await waitFor(() => ours.length > seconds * 90, 'items');
	const at = (v, q) => [...v].sort((a, b) => a - b)[Math.floor(v.length * q)];
	console.log(`\nlatency from send to the subscriber's notification through Prosody at 100 events/s, digest off,\n  as a multiple of a chat message between two clients of the same Prosody: p50 ${(at(ours, 0.5) / at(base, 0.5)).toFixed(2)}  p99 ${(at(ours, 0.99) / at(base, 0.99)).toFixed(2)}   (${ours.length} items of ${seconds * 100} events)`);
	students.forEach((s) => s.stop());
	await teacher.stop();
	await other.stop();
	await d.stop();
}

const parts = { ingest, memory, start: startup, latency };
const wanted = positionals.length ? positionals : Object.keys(parts);
let status = 0;
try {
	console.log(`${os.cpus().length} cores, ${ROUNDS} rounds, lecternd ${execFileSync(path.join(BUILD, 'lecternd'), ['--version'], { encoding: 'utf8' }).trim()}`);
	for (const p of wanted) await parts[p]();
} catch (e) {
	console.error(e);
	status = 1;
}
fs.rmSync(work, { recursive: true, force: true });
process.exit(status);
