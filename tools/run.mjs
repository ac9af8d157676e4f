// SPDX-License-Identifier: MIT
// run: the main job of `./dev run`: a private XMPP server or none, lecternd with the
// backends that are named, and a class that types, until Ctrl-C; or several schools of that kind.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { Instance, ROOT } from './instance.mjs';
import { SimulatedClass } from './class.mjs';
import { Schools } from './schools.mjs';

const SCHOOLS_MAX = 9;

const { values: args } = parseArgs({
	options: {
		json: { type: 'boolean', default: false },
		'no-sim': { type: 'boolean', default: false },
		server: { type: 'string' },
		kvs: { type: 'string' },
		pubsub: { type: 'string' },
		roster: { type: 'string' },
		schools: { type: 'string' },
		servers: { type: 'string' },
		dir: { type: 'string' },
		build: { type: 'string', default: path.join(ROOT, 'build') },
	},
});

const servers = serversOf(args);
const temporary = args.dir === undefined;
const dir = args.dir ?? fs.mkdtempSync(path.join(os.tmpdir(), 'lectern-'));
const schools = servers && new Schools({ dir, build: args.build, servers, ...backendsOf(args) });
const whole = schools ?? instanceOf(args);
const simulations = [];
let ending = null;

async function end(status) {
	ending ??= (async () => {
		for (const s of simulations) s.stop();
		try { await whole.stop(); } catch (e) { console.error(e.message); status = 1; }
		if (temporary && status === 0) whole.remove();
		process.exit(status);
	})();
	return ending;
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => end(0));

function wrong(what) {
	console.error(`dev run: ${what}`);
	process.exit(64);
}

/** Names of the schools' servers, or null where there is one instance. */
function serversOf({ schools, server, servers }) {
	const names = servers?.split(',');
	if (!schools && !names) return null;
	const n = Number(schools ?? names.length);
	if (!Number.isInteger(n) || n < 2 || n > SCHOOLS_MAX) wrong(`--schools takes a number from 2 to ${SCHOOLS_MAX}`);
	if (names && names.length !== n) wrong(`--servers names ${names.length} servers for ${n} schools`);
	return names ?? Array(n).fill(server ?? 'prosody');
}

function backendsOf({ kvs, pubsub, roster }) {
	return { kvs, roster, pubsub: pubsub?.split(',') };
}

/** Without XMPP among the ways to publish, no XMPP server is needed unless it is named. */
function instanceOf({ build, server, ...rest }) {
	const backends = backendsOf(rest);
	const withXmpp = backends.pubsub?.some((name) => name.startsWith('xmpp')) ?? true;
	try {
		return new Instance({ dir, build, server: server ?? (withXmpp ? 'prosody' : 'none'), ...backends });
	} catch (e) {
		return wrong(e.message);
	}
}

function tellSchools({ schools: [first, ...others] }) {
	tell(first);
	const { guest_teacher: guest } = others[0];
	for (const s of others) console.log(`
Another school: domain ${s.xmpp.domain}  server ${s.xmpp.host}:${s.xmpp.port}  CA ${s.xmpp.ca}
  events go to     ${s.events}
  teacher          ${s.teacher.jid}  password ${s.teacher.password}`);
	console.log(`
${guest.jid}, password ${guest.password}, teaches in ${first.xmpp.domain}, too: at ${others[0].xmpp.domain} subscribe to
class/${first.class}/writing.time_on_task of ${first.xmpp.components.writing}.`);
}

function tell(d) {
	const lecternctl = path.relative(process.cwd(), path.join(args.build, 'lecternctl')) || 'lecternctl';
	console.log(`
Lectern is up, with ${d.xmpp ? `a private ${d.backends.server}` : 'no XMPP server'} and ${args['no-sim'] ? 'no simulated class' : `a class of ${d.students.length} that types`}.

  events go to     ${d.events}
  feed             ${d.feed}  after a sign-in at ${d.http}/auth/login/password
  teacher          ${d.teacher.jid}  password ${d.teacher.password}
  states live in   ${d.backends.kvs}
  roster           ${d.backends.roster}${d.roster ? `: ${d.roster}` : ''}${tellStores(d)}${d.xmpp ? tellXmpp(d, lecternctl) : ''}

  everything in    ${dir}

What the daemon does:  ${lecternctl} status -c ${d.config}
Its states:            ${lecternctl} states -c ${d.config}
Ctrl-C ends all of it.`);
}

function tellStores({ redis, postgres }) {
	return (redis ? `
  Redis            ${redis.host}:${redis.port}  password ${redis.password}` : '') + (postgres ? `
  PostgreSQL       ${postgres.conninfo}  password in ${postgres.password_file}` : '');
}

function tellXmpp(d, lecternctl) {
	return `
  XMPP server      ${d.xmpp.host}:${d.xmpp.port}  domain ${d.xmpp.domain}  CA ${d.xmpp.ca}
  PubSub service   ${[...new Set(Object.values(d.xmpp.components))].join('  ')}

See the class arrive in an XMPP client:

  ${lecternctl} watch --jid ${d.teacher.jid} --password-file ${path.join(path.dirname(d.config), 'teacher.password')} \\
      --host ${d.xmpp.host} --port ${d.xmpp.port} --ca ${d.xmpp.ca} \\
      --service ${d.xmpp.components.writing} class/${d.class}/writing.time_on_task`;
}

try {
	await whole.start();
	const d = whole.describe();
	if (args.json) console.log(JSON.stringify(d));
	else if (schools) tellSchools(d);
	else tell(d);
	if (!args['no-sim']) for (const s of d.schools ?? [d]) simulations.push(new SimulatedClass(s).start());
	const how = await Promise.race((schools?.all ?? [whole]).flatMap((i) => i.services.map((s) => s.ended)));
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
