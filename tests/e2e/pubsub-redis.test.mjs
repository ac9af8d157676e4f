// SPDX-License-Identifier: MIT
// pubsub-redis: two daemons on one Redis: events come in at one, readers are at the other, and a
// program reads from Redis as docs/consume-redis.md shows it. Whatever is killed, in the end the same
// items stand everywhere.
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { ROOT, waitFor } from '../../tools/instance.mjs';
import { Student } from '../../tools/class.mjs';
import { Follower } from './lib/follower.mjs';
import { startDashboard } from './lib/reader.mjs';
import { ok, same, withEach } from './lib/rig.mjs';

const OTHER = 'other.school.test'; // the second daemon's component
const PATIENCE_MS = 60_000;

/** The consumer of the documentation; begins again when it ends. */
class Consumer {
	constructor(instance, user, password, node) {
		const doc = fs.readFileSync(path.join(ROOT, 'docs/consume-redis.md'), 'utf8');
		this.program = doc.match(/```python\n([^]*?)```/)[1];
		this.args = [instance.host, String(instance.redis.site.port), user, password, node];
		this.said = '';
		this.run();
	}

	run() {
		this.child = spawn('python3', ['-c', this.program, ...this.args], { stdio: ['ignore', 'pipe', 'pipe'] });
		let text = '';
		this.child.stdout.setEncoding('utf8').on('data', (d) => {
			text += d;
			const lines = text.split('\n');
			text = lines.pop();
			if (lines.length > 0) this.items = JSON.parse(lines.at(-1));
		});
		this.child.stderr.on('data', (d) => { this.said += d; });
		this.ended = new Promise((r) => this.child.on('exit', (code) => r(code)));
		this.ended.then(() => { if (!this.stopped) setTimeout(() => this.run(), 100); });
	}

	stop() { this.stopped = true; this.child.kill(); return this.ended; }
}

const sorted = (o) => o && Object.fromEntries(Object.entries(o).sort(([a], [b]) => (a < b ? -1 : 1)));
const equal = (a, b) => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));

const options = { students: 4, pubsub: ['xmpp', 'memory', 'redis'], producers: [OTHER], limitMs: 400_000 };

await withEach('pubsub-redis', [
	['a Redis that forgets', options],
	['a Redis that keeps', { ...options, appendonly: true }],
], async (instance) => {
	const node = `class/${instance.class}/activity.event_count`;
	const [service] = Object.values(instance.components);
	const follower = await new Follower(instance, { component: OTHER }).prepare();
	await follower.start();
	const students = instance.students.map((s) => new Student(instance.events, s.user_id).connect());
	const here = await startDashboard(instance, instance.users.teacher, [[service, node]]);
	const there = await startDashboard(instance, instance.users.teacher, [[OTHER, node]]);
	await instance.redis.ask('ACL', 'SETUSER', 'board', 'reset', 'on', '>password', '&lectern:node:class/7b/*', '%R~lectern:items:class/7b/*',
		'+subscribe', '+unsubscribe', '+hgetall', '+ping');
	const consumer = new Consumer(instance, 'board', 'password', node);
	const of = (reader) => Object.fromEntries([...reader.items].filter(([k]) => k.startsWith(`${node} `)).map(([k, v]) => [k.slice(node.length + 1), v]));

	const settle = async (what) => {
		for (const s of students) s.type();
		await waitFor(() => students.every((s) => s.acked === s.seq), 'all acks', PATIENCE_MS);
		const last = () => students.every((s, i) => of(here)[instance.students[i].pseudonym]?.state.count === s.seq);
		await waitFor(last, `the items at the first daemon, ${what}`, PATIENCE_MS);
		await waitFor(() => equal(of(here), of(there)), `the same items at the second daemon, ${what}`, PATIENCE_MS);
		await waitFor(() => equal(of(here), consumer.items), `the same items at the consumer, ${what}`, PATIENCE_MS);
		ok(true, `the same items everywhere, ${what}`);
	};

	await settle('from the start');
	same(instance.status().pubsub.map((p) => [p.backend, p.state, p.nodes_waiting]), [['memory', 'up', 0], ['redis', 'up', 0]], 'status shows both backends beside XMPP');
	same(follower.status().position, 0, 'the second daemon has no event of them');
	same(follower.status().pubsub[0].follows, true, 'and says that it follows');
	ok(fs.readFileSync(`/proc/${follower.pid}/cmdline`, 'utf8').includes(follower.conf), 'it is a process of its own');

	await instance.lecternd.kill();
	await instance.startLecternd();
	await settle('after kill -9 of the first daemon');
	await follower.kill();
	await follower.start();
	await settle('after kill -9 of the second');
	await instance.redis.kill();
	for (const s of students) s.type();
	await waitFor(() => instance.status().pubsub[1].state === 'down', 'status to say that Redis is gone', PATIENCE_MS);
	ok(instance.status().pubsub[1].trouble.includes('Redis'), 'and why');
	await instance.redis.start();
	await instance.redis.ask('ACL', 'SETUSER', 'board', 'reset', 'on', '>password', '&lectern:node:class/7b/*', '%R~lectern:items:class/7b/*',
		'+subscribe', '+unsubscribe', '+hgetall', '+ping');
	await settle('after kill -9 of Redis');

	// A consumer that does not read is cut off by Redis, and begins again.
	const subscribers = async () => (await instance.redis.ask('CLIENT', 'LIST', 'TYPE', 'pubsub')).match(/cmd=subscribe/g)?.length ?? 0;
	await waitFor(async () => await subscribers() === 2, 'both readers to be back', PATIENCE_MS);
	await instance.redis.ask('CONFIG', 'SET', 'client-output-buffer-limit', 'pubsub 20kb 20kb 1');
	const lost = follower.status().pubsub[0].lost;
	follower.child.kill('SIGSTOP');
	const flood = setInterval(() => students.forEach((s) => { if (s.waiting.length < 200) s.type(); }), 5);
	await waitFor(async () => await subscribers() < 2, 'Redis to cut off the second daemon', 120_000).catch((e) => ok(false, e.message));
	clearInterval(flood);
	follower.child.kill('SIGCONT');
	await settle('after Redis cut off the second daemon');
	ok(follower.status().pubsub[0].lost > lost, 'which says that it was');

	// A student leaves: the item goes from Redis, and from every reader.
	instance.students.pop();
	students.pop().stop();
	instance.writeRoster();
	process.kill(instance.lecternd.pid, 'SIGHUP');
	process.kill(follower.pid, 'SIGHUP');
	await waitFor(() => [of(here), of(there), consumer.items].every((v) => Object.keys(v).length === 3), 'the student to be gone everywhere', PATIENCE_MS);
	await settle('after a student left');

	// The class is no more.
	const others = instance.students.map((s) => ['8c', 'student', s.id, '', s.name]);
	instance.writeRoster([['8c', 'teacher', 't1', instance.users.teacher.jid, 'Teacher'], ...others]);
	process.kill(instance.lecternd.pid, 'SIGHUP');
	process.kill(follower.pid, 'SIGHUP');
	await waitFor(() => Object.keys(consumer.items).length === 0, 'the class to be gone from Redis', PATIENCE_MS);
	await waitFor(() => here.ended.includes(node) && there.ended.includes(node), 'both subscriptions to end', PATIENCE_MS);
	const keys = await instance.redis.ask('KEYS', 'lectern:items:class/7b/*');
	same(keys.trim(), '*0', 'no key of it is left');
	await waitFor(async () => (await instance.redis.ask('HLEN', 'lectern:items:class/8c/activity.event_count')).trim() === ':3', 'the new class in Redis', PATIENCE_MS);
	ok(true, 'the new class is there');
	same([here.went_back, there.went_back], [[], []], 'no version went back');

	consumer.stop();
	await Promise.all([here.stop(), there.stop()]);
	students.forEach((s) => s.stop());
	await follower.stop();
	const log = fs.readFileSync(follower.log, 'utf8');
	ok(!/Sanitizer|runtime error/.test(log), 'the second daemon has no memory fault');
});
