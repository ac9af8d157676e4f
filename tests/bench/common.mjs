// SPDX-License-Identifier: MIT
// common: what the parts of the benchmark share: rounds, spreads, CPU time, and
// private instances in a folder on the disk of the tree.
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Instance, ROOT } from '../../tools/instance.mjs';

export const BUILD = path.join(ROOT, 'build');

/** Set by bench.mjs from its arguments before a part runs. */
export const bench = { rounds: 5, smoke: false, servers: ['prosody', 'ejabberd'], work: null };

const ordered = (v) => [...v].sort((a, b) => a - b);
export const at = (v, q) => ordered(v)[Math.min(v.length - 1, Math.floor(v.length * q))];
export const median = (v) => at(v, 0.5);
export const spread = (v, digits = 2) => `min ${Math.min(...v).toFixed(digits)}  median ${median(v).toFixed(digits)}  max ${Math.max(...v).toFixed(digits)}`;
export const rss = (pid) => Number(fs.readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]) * 1024;
/** Seconds that it takes. */
export async function timed(f) {
	const t = process.hrtime.bigint();
	await f();
	return Number(process.hrtime.bigint() - t) / 1e9;
}
export const pause = (ms) => new Promise((r) => setTimeout(r, ms));

/** Seconds of CPU a process has used, all threads that live. */
export function cpu(pid) {
	let ns = 0;
	for (const t of fs.readdirSync(`/proc/${pid}/task`)) {
		try {
			ns += Number(fs.readFileSync(`/proc/${pid}/task/${t}/schedstat`, 'utf8').split(' ')[0]);
		} catch { /* a thread that has just ended */ }
	}
	return ns / 1e9;
}

export function run(...command) {
	return new Promise((ok, no) => {
		const child = spawn(command[0], command.slice(1).map(String), { stdio: ['ignore', 'pipe', 'inherit'] });
		let out = '';
		child.stdout.on('data', (d) => { out += d; });
		child.on('error', no);
		child.on('exit', (code) => (code === 0 ? ok(out) : no(new Error(`${command[0]} ended with ${code}`))));
	});
}

let count = 0;
const running = new Set();

/** Options: those of an instance, and seed: the state folder whose journal it begins with. */
export async function instance({ seed, ...options }) {
	const d = new Instance({ dir: path.join(bench.work, `d${++count}`), server: 'none', logLevel: 'warning', ...options });
	running.add(d);
	if (seed) for (const f of ['journal', 'organisation.key']) fs.cpSync(path.join(seed, f), path.join(d.dir, f), { recursive: true });
	return d.start();
}

export async function end(d) {
	running.delete(d);
	await d.stop();
	d.remove();
}

export const endAll = () => Promise.allSettled([...running].map(end));
