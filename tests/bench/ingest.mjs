// SPDX-License-Identifier: MIT
// ingest: what the front costs: events through socket, journal and reducers
// against a bare libwebsockets sink, memory of idle connections, and the start.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { freePorts, waitFor } from '../../tools/instance.mjs';
import { keystroke, save } from '../../tools/class.mjs';
import { BUILD, bench, cpu, end, instance, median, rss, run, spread, timed } from './common.mjs';

const SEQ = 1000000000; // the load generator puts the real number here

export const load = async (port, connections, events, file, finish, first = 0) =>
	JSON.parse(await run(path.join(BUILD, 'bench_load'), port, connections, events, file, finish, first));

export const scale = () => (bench.smoke ? 0.01 : 1);

async function sink() {
	const [port] = await freePorts(1);
	const child = spawn(path.join(BUILD, 'bench_sink'), [String(port)], { stdio: 'inherit' });
	await new Promise((r) => setTimeout(r, 500));
	return { port, child };
}

export function eventFiles() {
	const now = 1795455148000;
	const line = (e) => JSON.stringify({ seq: SEQ, ...e }) + '\n';
	// About 0.9 kB, as a keystroke in a document with a long title is.
	const key = (i) => { const k = keystroke('abcdefghij'[i % 10], `1AbCdEfGhIjKlMnOpQrStUvWxYz0123456789abcdef${i % 4}`, now + i); k.object.title += ' in the library, the second draft of my essay about the river'; k.keystroke['target.className'] += ' docs-texteventtarget-iframe kix-appview-editor'; return k; };
	const mouse = (i) => ({ ...key(i), event: 'mouseclick', event_type: 'mouseclick', mouseclick: { button: 0, clientX: i, clientY: 2 * i, type: 'mousedown', 'target.innerText': 'and the river ran on '.repeat(20) } });
	const keys = Array.from({ length: 64 }, (_, i) => line(key(i)));
	const mix = Array.from({ length: 64 }, (_, i) => line(i % 16 === 15 ? mouse(i) : i % 4 === 3 ? save('the river ', 1 + 10 * i, 'doc-1', i, now) : key(i)));
	const write = (name, lines) => { const f = path.join(bench.work, name); fs.writeFileSync(f, lines.join('')); return [f, Math.round(lines.join('').length / lines.length)]; };
	return { keystrokes: write('keystrokes.jsonl', keys), 'realistic mix': write('mix.jsonl', mix) };
}

export async function ingest() {
	console.log('\ningest: events/s through socket, journal (acks on), four reducers, memory KVS, as a share of the bare sink');
	const s = await sink();
	for (const [kind, [file, bytes]] of Object.entries(eventFiles())) {
		for (const connections of [1, 100, 1000]) {
			const events = Math.max(20, Math.round((600_000 * scale()) / connections));
			const ratios = [], work_share = [];
			for (let i = 0; i < bench.rounds; i++) {
				const base = await load(s.port, connections, events, file, 'pong');
				const d = await instance({});
				const before = cpu(d.lecternd.pid);
				const ours = await load(d.ports.web, connections, events, file, 'ack');
				work_share.push((cpu(d.lecternd.pid) - before) / ours.seconds);
				await end(d);
				ratios.push((ours.events / ours.seconds) / (base.events / base.seconds));
			}
			console.log(`  ${kind} (${bytes} bytes), ${String(connections).padStart(4)} connections: ${spread(ratios)}   (cores busy in lecternd: ${median(work_share).toFixed(2)})`);
		}
	}
	s.child.kill();
}

export async function memory() {
	const connections = bench.smoke ? 100 : 10_000;
	const d = await instance({ config: '' });
	const start = rss(d.lecternd.pid);
	const child = spawn(path.join(BUILD, 'bench_load'), [d.ports.web, connections, 0, '-', 'idle'].map(String), { stdio: ['pipe', 'pipe', 'inherit'] });
	await new Promise((r) => child.stdout.once('data', r));
	await waitFor(() => d.status().metrics.connections === connections, 'connections');
	const full = rss(d.lecternd.pid);
	console.log(`\nmemory: ${(start / 2 ** 20).toFixed(1)} MiB resident at start; ${((full - start) / connections / 1024).toFixed(2)} KiB for each of ${connections} idle identified connections`);
	child.stdin.end();
	await end(d);
}

export async function startup() {
	const [file] = eventFiles().keystrokes;
	const records = Math.round(1_000_000 * scale());
	const d = await instance({ config: 'journal { snapshot_records = 100000000 }' });
	await load(d.ports.web, 100, records / 100, file, 'ack');
	await d.lecternd.stop('SIGKILL');
	const journal = path.join(d.state, 'journal');
	const hash = () => { const h = createHash('sha256'); for (const f of fs.readdirSync(journal)) if (f.endsWith('.journal')) h.update(fs.readFileSync(path.join(journal, f))); h.digest(); };
	const replay = [], tail = [];
	for (let i = 0; i < bench.rounds; i++) {
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
