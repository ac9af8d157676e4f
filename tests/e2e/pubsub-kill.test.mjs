// SPDX-License-Identifier: MIT
// pubsub-kill: a class types at one daemon, its teachers look at another one, a Redis is between
// them, and again and again one or two of the three are killed. Nothing is lost, comes twice, goes
// back or vanishes meanwhile, and in the end the same items stand everywhere.
import * as fs from 'node:fs';
import { Student } from '../../tools/class.mjs';
import { Feed, signIn } from '../../tools/feed.mjs';
import { Follower } from './lib/follower.mjs';
import { liveStates, ok, same, waitFor, withEach } from './lib/rig.mjs';

const REDUCER = 'activity.event_count';
const STUDENTS = 6;
const TYPE_MS = 150;      // between two words of a student
const PATIENCE_MS = 60_000;
const ROUNDS = [['first'], ['redis'], ['second'], ['redis', 'first'], ['second', 'redis'], ['redis'], ['first', 'second']];

/** A page that is open all the time: signs in, subscribes, and begins again when the feed is lost. */
class Page {
	constructor(daemon, user, node) {
		Object.assign(this, { daemon, user, node, feeds: [], newest: new Map(), went_back: [], stopped: false });
		this.ended = this.run();
	}

	get items() { return this.feeds.at(-1)?.items ?? new Map(); }

	async run() {
		while (!this.stopped) {
			try {
				this.feed = new Feed(this.daemon(), await signIn(this.daemon(), this.user));
				await this.feed.opened;
				this.feeds.push(this.feed);
				this.feed.send({ op: 'subscribe', node: this.node });
				await this.feed.closed;
			} catch { /* it is down */ }
			await new Promise((r) => setTimeout(r, 50));
		}
	}

	/** What no page may see, over all its connections and in each of them. */
	faults() {
		const faults = [];
		const newest = new Map();
		for (const [at, feed] of this.feeds.entries()) {
			const here = new Map();
			for (const m of feed.received) {
				if (['retract', 'purge', 'revoked'].includes(m.op)) faults.push(`${at}: ${m.op}`);
				for (const { id, item } of m.items ?? []) {
					if (item.seq < (newest.get(id) ?? 0)) faults.push(`${at}: ${id} went back from ${newest.get(id)} to ${item.seq}`);
					if (item.seq === here.get(id)) faults.push(`${at}: ${id} came twice with ${item.seq}`);
					here.set(id, item.seq);
					newest.set(id, item.seq);
				}
			}
		}
		return faults;
	}

	stop() {
		this.stopped = true;
		this.feed?.socket.terminate();
		return this.ended;
	}
}

const options = { server: 'none', students: STUDENTS, pubsub: ['redis'] };

await withEach('pubsub-kill', [
	['a Redis that forgets', options],
	['a Redis that keeps', { ...options, appendonly: 'always' }],
], async (instance) => {
	const node = `class/${instance.class}/${REDUCER}`;
	const follower = await new Follower(instance).prepare();
	const services = { first: [instance.lecternd, () => instance.startLecternd()], second: [follower, () => follower.start()], redis: [instance.redis, () => instance.redis.start()] };
	await follower.start();
	const students = instance.students.map((s) => new Student(instance.events, s.user_id).connect());
	const typing = students.map((s) => setInterval(() => { if (s.waiting.length < 500) s.type(); }, TYPE_MS));
	const here = new Page(() => instance, instance.users.teacher, node);
	const there = new Page(() => follower.web, instance.users.teacher, node);
	const sees = (page, at) => instance.students.every((s, i) => (page.items.get(`${node} ${s.pseudonym}`)?.state.count ?? 0) >= at[i]);
	await waitFor(() => sees(there, students.map(() => 1)), 'the page at the second daemon', PATIENCE_MS);

	for (const [i, victims] of ROUNDS.entries()) {
		await Promise.all(victims.map((v) => services[v][0].kill()));
		await new Promise((r) => setTimeout(r, 150 * (i % 4)));
		for (const v of victims) await services[v][1]();
		const sent = students.map((s) => s.seq);
		await waitFor(() => sees(there, sent), `what was typed after kill -9 of ${victims}, at the second daemon`, PATIENCE_MS);
		ok(true, `${victims.join(' and ')} killed: what was typed is seen at the second daemon`);
	}

	typing.forEach(clearInterval);
	await waitFor(() => students.every((s) => s.acked === s.seq), 'all acks', PATIENCE_MS);
	const exactly = (page) => instance.students.every((s, i) => page.items.get(`${node} ${s.pseudonym}`)?.state.count === students[i].seq);
	await waitFor(() => exactly(here) && exactly(there), 'the last item of every student on both pages', PATIENCE_MS);
	ok(true, `every event was counted once: ${students.reduce((sum, s) => sum + s.seq, 0)}`);
	same([...there.items].sort(), [...here.items].sort(), 'both pages show the same items');
	const states = liveStates(instance);
	same(instance.students.map((s) => there.items.get(`${node} ${s.pseudonym}`).seq), instance.students.map((s) => states[`Internal,${REDUCER},STUDENT:${s.id}`].seq), 'of the versions that the first daemon has');
	same(there.faults(), [], 'nothing went back, came twice or vanished at the second daemon');
	same(here.faults(), [], 'nor at the first');
	ok(there.feeds.length > 2, `the page at the second daemon began again (${there.feeds.length})`);
	same(follower.status().position, 0, 'the second daemon has no event of them');

	// A daemon that publishes to the same place says so, and changes nothing.
	const rival = await (await new Follower(instance, { name: 'rival', follow: false }).prepare()).start();
	await waitFor(() => rival.status()?.pubsub[0].trouble?.includes('another daemon (process '), 'a second one that publishes to say so', PATIENCE_MS);
	same(rival.status().pubsub[0].state, 'down', 'a second one that publishes is down and says why');
	for (const s of students) s.type();
	await waitFor(() => exactly(there), 'the first one to go on', PATIENCE_MS);
	same([there.faults(), instance.status().pubsub[0].trouble], [[], null], 'and the first one goes on as before');
	await instance.lecternd.kill();
	await waitFor(() => rival.status().pubsub[0].state === 'up', 'the second one to take over', PATIENCE_MS);
	await waitFor(() => there.items.size === 0, 'what it does not have to be gone', PATIENCE_MS);
	ok(true, 'when the first one is gone it takes over, with what it has');
	await instance.startLecternd();
	await waitFor(() => instance.status().pubsub[0].trouble?.includes('another daemon'), 'the first one to say who publishes', PATIENCE_MS);
	await rival.stop();
	await waitFor(() => exactly(there), 'the first one to publish again', PATIENCE_MS);
	ok(true, 'and when that one ends the first publishes again');

	students.forEach((s) => s.stop());
	await Promise.all([here.stop(), there.stop()]);
	await follower.stop();
	for (const d of [follower, rival]) ok(!/Sanitizer|runtime error/.test(fs.readFileSync(d.log, 'utf8')), `${d.name} has no memory fault`);
});
