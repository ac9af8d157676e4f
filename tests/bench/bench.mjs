// SPDX-License-Identifier: MIT
// bench: what `./dev bench` prints: ratios measured in one run, ours and its
// baseline in turns, with minimum, median and maximum. Never asserted anywhere.
//   ./dev bench [ingest] [memory] [start] [latency] [xmpp] [kvs] [students] [rosters] [--rounds N] [--servers LIST] [--smoke]
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { BUILD, bench, endAll } from './common.mjs';
import { ingest, memory, startup } from './ingest.mjs';
import { latency } from './latency.mjs';
import { kvs, rosters, students } from './backends.mjs';
import { xmpp } from './xmpp.mjs';

const parts = { ingest, memory, start: startup, latency, xmpp, kvs, students, rosters };
const { values: args, positionals } = parseArgs({
	allowPositionals: true,
	options: {
		rounds: { type: 'string', default: '5' },
		servers: { type: 'string', default: bench.servers.join(',') },
		smoke: { type: 'boolean', default: false }, // a moment of each, to see that it runs
	},
});
const unknown = positionals.find((p) => !parts[p]);
if (unknown) {
	console.error(`bench: no part is called ${unknown}; there are ${Object.keys(parts).join(', ')}`);
	process.exit(64);
}
bench.smoke = args.smoke;
bench.rounds = args.smoke ? 1 : Number(args.rounds);
bench.servers = args.servers.split(',');
bench.work = fs.mkdtempSync(path.join(BUILD, 'bench-')); // on the disk of the tree, not on a tmpfs

let status = 0;
try {
	console.log(`${os.cpus().length} cores, ${bench.rounds} rounds, lecternd ${execFileSync(path.join(BUILD, 'lecternd'), ['--version'], { encoding: 'utf8' }).trim()}, load average ${os.loadavg()[0].toFixed(1)} at the start`);
	for (const p of positionals.length ? positionals : Object.keys(parts)) await parts[p]();
} catch (e) {
	console.error(e);
	status = 1;
}
await endAll();
fs.rmSync(bench.work, { recursive: true, force: true });
process.exit(status);
