// SPDX-License-Identifier: MIT
// backends: every backend that there is, and the pairs that meet somewhere, as `./dev run` starts them: a
// small class types, its teacher signs in and sees it, the states are the journal's fold, and all of it
// again after kill -9.
import { CHOICES, waitFor } from '../../tools/instance.mjs';
import { Student } from '../../tools/class.mjs';
import { Feed, signIn } from '../../tools/feed.mjs';
import { liveStates, ok, replayedStates, same, withEach } from './lib/rig.mjs';

const WORDS = 3;
const STUDENTS = 3;
const REDUCER = 'activity.event_count';

/** The class types; answers how many events each student has sent. */
async function type(instance) {
	const students = instance.students.map((s) => new Student(instance.events, s.user_id).connect());
	for (const s of students) for (let i = 0; i < WORDS; i++) s.type();
	await waitFor(() => students.every((s) => s.acked === s.seq), 'all acks');
	for (const s of students) s.stop();
	return students.map((s) => s.seq);
}

function isFold(instance, when) {
	const live = liveStates(instance);
	ok(Object.keys(live).length >= STUDENTS, `there are states ${when}`);
	same(live, replayedStates(instance), 'and they are the journal\'s fold');
}

/** The teacher of the roster sees each student's count, and nobody else does. */
async function isSeen(instance, counts, when) {
	const node = `class/${instance.class}/${REDUCER}`;
	const feed = await new Feed(instance, await signIn(instance, instance.users.teacher)).opened;
	same((await feed.subscribe(node)).op, 'subscribed', `the teacher subscribes to the class ${when}`);
	await waitFor(() => instance.students.every((s, i) => feed.item(node, s.pseudonym)?.state.count === counts[i]), 'every student\'s count');
	ok(true, 'and sees every event counted');
	const stranger = await new Feed(instance, await signIn(instance, instance.users.stranger)).opened;
	same((await stranger.subscribe(node)).code, 'forbidden', 'which a stranger may not');
	await stranger.close();
	await feed.close();
}

/** Each backend once beside the ones that need nothing, then pairs. */
function sets() {
	const options = { server: 'none', students: STUDENTS };
	const others = (what) => CHOICES[what].filter((name) => !['memory', 'csv'].includes(name)).map((name) => ({ [what]: name }));
	const pairs = [
		...others('kvs'), ...others('roster'), { pubsub: ['memory'] },
		{ kvs: 'disk', roster: 'oneroster', pubsub: ['memory'] },
		{ kvs: 'disk', roster: 'sqlite', pubsub: ['redis'] },
		{ kvs: 'redis', roster: 'postgres', pubsub: ['redis', 'memory'] },
		{ kvs: 'redis_ephemeral', roster: 'files', pubsub: ['redis'] },
		{ kvs: 'redis', roster: 'csv', pubsub: ['xmpp', 'redis'], server: 'prosody' },
	];
	const there = (p) => Object.entries(p).every(([what, names]) => [names].flat().every((name) => CHOICES[what].includes(name)));
	return [['embedded', options], ...pairs.filter(there).map((p) => [Object.values(p).join(' '), { ...options, ...p }])];
}

await withEach('backends', sets(), async (instance) => {
	const once = await type(instance);
	isFold(instance, 'after the class has typed');
	await isSeen(instance, once, 'that has typed');
	await instance.lecternd.kill();
	await instance.startLecternd();
	const again = await type(instance);
	isFold(instance, 'after kill -9 and more typing');
	await isSeen(instance, once.map((n, i) => n + again[i]), 'after that');
});
