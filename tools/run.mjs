// SPDX-License-Identifier: MIT
// run: the main job of `./dev run`: a private XMPP server, lecternd and a class
// that types, until Ctrl-C.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { Instance, ROOT } from './instance.mjs';
import { SimulatedClass } from './class.mjs';

const { values: args } = parseArgs({
	options: {
		json: { type: 'boolean', default: false },
		'no-sim': { type: 'boolean', default: false },
		server: { type: 'string', default: 'prosody' },
		dir: { type: 'string' },
		build: { type: 'string', default: path.join(ROOT, 'build') },
	},
});

const temporary = args.dir === undefined;
const dir = args.dir ?? fs.mkdtempSync(path.join(os.tmpdir(), 'lectern-'));
const instance = new Instance({ dir, build: args.build, server: args.server });
let simulation = null;
let ending = null;

async function end(status) {
	ending ??= (async () => {
		simulation?.stop();
		try { await instance.stop(); } catch (e) { console.error(e.message); status = 1; }
		if (temporary && status === 0) instance.remove();
		process.exit(status);
	})();
	return ending;
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => end(0));

function tell(d) {
	const lecternctl = path.relative(process.cwd(), path.join(args.build, 'lecternctl')) || 'lecternctl';
	console.log(`
Lectern is up, with a private ${args.server} and ${args['no-sim'] ? 'no simulated class' : `a class of ${d.students.length} that types`}.

  events go to     ${d.events}
  XMPP server      ${d.xmpp.host}:${d.xmpp.port}  domain ${d.xmpp.domain}  CA ${d.xmpp.ca}
  teacher          ${d.teacher.jid}  password ${d.teacher.password}
  PubSub service   ${[...new Set(Object.values(d.xmpp.components))].join('  ')}
  everything in    ${dir}

See the class arrive in an XMPP client:

  ${lecternctl} watch --jid ${d.teacher.jid} --password-file ${path.join(dir, 'teacher.password')} \\
      --host ${d.xmpp.host} --port ${d.xmpp.port} --ca ${d.xmpp.ca} \\
      --service ${d.xmpp.components.writing} class/${d.class}/writing.time_on_task

What the daemon does:  ${lecternctl} status -c ${d.config}
Ctrl-C ends all of it.`);
}

try {
	await instance.start();
	const d = instance.describe();
	if (args.json) console.log(JSON.stringify(d));
	else tell(d);
	if (!args['no-sim']) simulation = new SimulatedClass(d).start();
	const how = await Promise.race([instance.lecternd.ended, instance.server.ended]);
	if (args.json) await new Promise(() => {}); // a test may kill and restart what it likes
	if (!ending) {
		console.error(`a process ended by itself (${JSON.stringify(how)}); logs are in ${dir}`);
		await end(1);
	}
} catch (e) {
	if (!ending) {
		console.error(e.message);
		await end(1);
	}
}
