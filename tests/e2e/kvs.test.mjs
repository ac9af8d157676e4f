// SPDX-License-Identifier: MIT
// kvs: the store of states in trouble while a class types, and what lecternctl does with it:
// look into it, write it out and in, and take a Learning Observer over.
import { execFile, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { Student } from '../../tools/class.mjs';
import { Feed, signIn } from '../../tools/feed.mjs';
import { liveStates, ok, replayedStates, same, storedAll, storedStates, waitFor, withEach } from './lib/rig.mjs';

const STUDENTS = 3;
const LARGE = 81 * 2 ** 20; // bytes of a state that no record of the journal has room for
const HOT = 2; // students in memory, where that is bounded

/** Ends with its status; both outputs as one text. */
function run(instance, ...args) {
	const how = spawnSync(instance.bin('lecternctl'), [...args, '-c', instance.at('lectern.conf')], { encoding: 'utf8' });
	return { status: how.status, text: how.stdout + how.stderr };
}

async function type(instance, words = 3, who = instance.students) {
	const students = who.map((s) => new Student(instance.events, s.user_id).connect());
	for (const s of students) for (let i = 0; i < words; i++) s.type();
	await waitFor(() => students.every((s) => s.acked === s.seq), 'all acks');
	for (const s of students) s.stop();
}

const trouble = (instance) => instance.status().kvs.trouble;

/** Makes trouble, has the class type, sees it named, ends it, and sees all states stored. */
async function through(instance, what, word, begin, end) {
	await begin();
	await type(instance);
	ok(true, `${what}: events are acknowledged all the same`);
	await waitFor(() => trouble(instance)?.includes(word), `status to name ${word}`);
	await end();
	await waitFor(() => trouble(instance) === null, `the trouble with ${word} to end`);
	await storedAll(instance);
	ok(true, `${what}: named in status, and after it the store has all states`);
}

async function redisInTrouble(instance) {
	const { redis } = instance;
	await through(instance, 'killed', 'reached', () => redis.kill(), () => redis.start());
	await through(instance, 'stopped', 'does not answer', () => redis.child.kill('SIGSTOP'), () => redis.child.kill('SIGCONT'));
	await through(instance, 'full', 'OOM', () => redis.ask('CONFIG', 'SET', 'maxmemory', '1'), () => redis.ask('CONFIG', 'SET', 'maxmemory', '0'));
	await through(instance, 'a replica', 'READONLY', () => redis.ask('REPLICAOF', '127.0.0.1', '1'), () => redis.ask('REPLICAOF', 'NO', 'ONE'));
	await through(instance, 'its user may not', 'NOPERM', () => redis.ask('ACL', 'SETUSER', 'default', '-set'), () => redis.ask('ACL', 'SETUSER', 'default', '+set'));
	let up;
	await through(instance, 'loading', 'LOADING', async () => {
		for (let i = 0; i < 30; i++) await redis.ask('SET', `filler:${i}`, 'x'.repeat(4096));
		await redis.ask('SAVE');
		await redis.kill();
		// microseconds for each key; what a client asks meanwhile is seen every so many bytes
		up = redis.start('--key-load-delay', '200000', '--loading-process-events-interval-bytes', '1024');
	}, () => up);
	await redis.ask('FLUSHALL');
	await type(instance);
	await storedAll(instance);
	ok(true, 'emptied: all states are written again');
	ok(!instance.lecternd.tail().includes(redis.password), 'its password is not in the log');
}

/** A dump of what the reference holds for two students of ours and one that we never saw. */
const REFERENCE = `Internal,writing_observer.writing_analysis.time_on_task,EventField.doc_id:D,1:x,STUDENT:tc-testcase-new
{"saved_ts": 1795455148.5, "total_time_on_task": 12.25}
Internal,writing_observer.writing_analysis.last_document,STUDENT:tc-testcase-new
{"document_id": "D,1:x"}
Internal,writing_observer.writing_analysis.last_document,STUDENT:tc-testcase-u1
{"document_id": "another"}
External,writing_observer.writing_analysis.last_document,STUDENT:tc-testcase-new
{"document_id": "D"}
Internal,writing_observer.writing_analysis.last_document,STUDENT:tc-testcase-empty
null
Internal,writing_observer.writing_analysis.last_document,STUDENT:tc-testcase-wrong
{"document_id": 7}
Internal,writing_observer.writing_analysis.reconstruct,EventField.doc_id:D1,STUDENT:tc-testcase-u1
{"text": "Hi"}
email-studentID-mapping:a@b.edu
"tc-testcase-u1"
`;

async function takeOver(instance) {
	const file = instance.at('reference.txt');
	const large = `Internal,writing_observer.writing_analysis.last_document,STUDENT:tc-testcase-large\n{"document_id": "${'x'.repeat(LARGE)}"}\n`;
	fs.writeFileSync(file, REFERENCE + large, { mode: 0o600 });
	const before = liveStates(instance);
	const busy = run(instance, 'kvs', 'import', file);
	ok(busy.status !== 0 && busy.text.includes('lecternctl: '), 'import is refused while a daemon holds the journal');
	await instance.lecternd.stop();
	const dry = run(instance, 'kvs', 'import', '--dry-run', file);
	ok(dry.text.includes('would_take=2 kept=1 unknown=1 external=0 empty=1 unreadable=1 others=2 too_large=1'), 'a dry run says what would be taken');
	const done = run(instance, 'kvs', 'import', file);
	ok(done.status === 0 && done.text.includes('\ntaken=2 kept=1 ') && done.text.includes('last_document,STUDENT:tc-testcase-u1: kept'), 'import takes what is new and tells what it leaves');
	ok(run(instance, 'kvs', 'import', file).text.includes('\ntaken=0 kept=3 '), 'a second one takes nothing');
	await instance.startLecternd();
	const after = liveStates(instance);
	const time = 'Internal,writing_observer.writing_analysis.time_on_task,EventField.doc_id:D%2C1%3Ax,STUDENT:tc-testcase-new';
	same(after[time]?.value, { saved_ts: 1795455148.5, total_time_on_task: 12.25 }, 'a state is there as the reference had it');
	same(Object.keys(after).length, Object.keys(before).length + 2, 'and no others');
	same(after, replayedStates(instance), 'the journal alone gives them again');
	ok(/ equal\n$/.test(instance.ctl('journal', 'replay', '--verify')), 'byte for byte');
	await storedAll(instance);
	if (!instance.redis) return;
	await instance.redis.ask('SET', 'Internal,writing_observer.writing_analysis.last_document,STUDENT:tc-testcase-redis', '{"document_id":"R"}');
	await instance.lecternd.stop();
	ok(run(instance, 'kvs', 'import', '--redis').text.includes('taken=1 '), 'from Redis itself, and what we wrote there is not taken for another\'s');
	await instance.startLecternd();
	same(liveStates(instance)['Internal,writing_observer.writing_analysis.last_document,STUDENT:tc-testcase-redis'].value, { document_id: 'R' }, 'it is there, too');
}

/** What the store has is what the journal gives, with no daemon there to ask. */
function storedIsReplayed(instance, what) {
	const stored = storedStates(instance);
	const lines = instance.ctl('journal', 'replay').split('\n').filter(Boolean);
	same(lines.map((l) => l.endsWith(`"value":${stored[JSON.parse(l).key]}}`)).filter((fits) => !fits).length, 0, what);
	same(Object.keys(stored).length, lines.length, `${what}, and nothing else`);
}

/** A stop leaves nothing behind, and is not held up by a store that is away. */
async function stops(instance) {
	await type(instance);
	same((await instance.lecternd.stop()).code, 0, 'it stops');
	storedIsReplayed(instance, 'stopped: the store has all states as they are');
	await instance.startLecternd();
	if (!instance.redis) return;
	instance.redis.child.kill('SIGSTOP');
	await type(instance);
	same((await instance.lecternd.stop()).code, 0, 'it stops with a Redis that does not answer, too');
	instance.redis.child.kill('SIGCONT');
	await instance.startLecternd();
	await storedAll(instance);
	ok(true, 'what was not stored is, after the next start');
}

async function lookInside(instance) {
	const stored = storedStates(instance);
	const [key] = Object.keys(stored);
	same(instance.ctl('kvs', 'get', key), `${stored[key]}\n`, 'get gives a value');
	ok(instance.ctl('kvs', 'list', key.slice(0, -1)).split('\n').includes(key), 'list gives keys');
	ok(run(instance, 'kvs', 'get', 'nosuch').status !== 0, 'a key that is not there is an error');
	const file = instance.at('dump.txt');
	fs.writeFileSync(file, instance.ctl('kvs', 'dump'), { mode: 0o600 });
	ok(run(instance, 'kvs', 'load', file).text.includes('running'), 'load is refused while the daemon runs');
	await instance.lecternd.stop();
	same(run(instance, 'kvs', 'load', file), { status: 0, text: `loaded=${Object.keys(stored).length}\n` }, 'without it, it loads');
	same(storedStates(instance), stored, 'what was dumped');
	fs.writeFileSync(file, `Internal,x\n"${'x'.repeat(LARGE)}"\n`);
	ok(run(instance, 'kvs', 'load', file).text.includes('larger than'), 'what no store takes is refused');
	await instance.startLecternd();
}

/** Waits until only so many students are in memory, and none waits for the store. */
async function mostAway(instance) {
	await waitFor(() => {
		const { hot, waiting, rebuilding, dirty } = instance.status().states;
		return hot <= HOT && waiting === 0 && rebuilding === 0 && dirty === 0;
	}, 'most students to be in the store only');
}

/** Stops the Redis, if it is one, while something is asked of it. */
async function meanwhile(instance, what, ask, answered) {
	instance.redis?.child.kill('SIGSTOP');
	await ask();
	if (instance.redis) {
		await type(instance, 1, instance.students.slice(1));
		ok(!answered(), `${what}: waits for the store, which others do not`);
	}
	instance.redis?.child.kill('SIGCONT');
	await waitFor(answered, `${what}: an answer`);
}

/** A student who comes back for his draft, and a teacher who looks at the class. */
async function askedFor(instance) {
	const [kid, ...others] = instance.students;
	const page = () => new Student(instance.events, kid.user_id, { fields: { activity: 'essay' } }).connect();
	const writing = page();
	writing.send({ event: 'save_blob', blob: { draft: 'Once upon a time' } });
	await waitFor(() => writing.acked === writing.seq, 'the draft to be kept');
	writing.stop();
	await type(instance, 3, others);
	await mostAway(instance);
	const back = page();
	await waitFor(() => back.live, 'his next visit');
	let blob;
	back.socket.on('message', (text) => { const m = JSON.parse(text); if (m.status === 'fetch_blob') blob = m.data; });
	await meanwhile(instance, 'fetch_blob', () => back.socket.send('{"event":"fetch_blob"}'), () => blob);
	same(blob, { draft: 'Once upon a time' }, 'and gets what he saved');
	back.stop();

	await type(instance, 3, others);
	await mostAway(instance);
	const node = `class/${instance.class}/activity.event_count`;
	const feed = await new Feed(instance, await signIn(instance, instance.users.teacher)).opened;
	const everybody = () => instance.students.every((s) => feed.item(node, s.pseudonym));
	await meanwhile(instance, 'a feed', async () => same((await feed.subscribe(node)).op, 'subscribed', 'the teacher subscribes to her class'), everybody);
	const live = liveStates(instance);
	await waitFor(() => instance.students.every((s) => feed.item(node, s.pseudonym).seq === live[`Internal,activity.event_count,STUDENT:${s.id}`].seq), 'the newest of everybody');
	same(instance.students.map((s) => feed.item(node, s.pseudonym).state), instance.students.map((s) => live[`Internal,activity.event_count,STUDENT:${s.id}`].value), 'and sees everybody\'s states');
	same(feed.went_back, [], 'none of which went back');
	await feed.close();
}

/** Who asks for everybody's states is told when the store does not answer for too long. */
async function givenUp(instance) {
	const asks = () => new Promise((r) => {
		execFile(instance.bin('lecternctl'), ['states', '-c', instance.at('lectern.conf')], (_, out, err) => r(out + err));
	});
	instance.redis.child.kill('SIGSTOP');
	ok((await asks()).includes('the store of states does not answer'), 'lecternctl states says so when the store does not answer');
	instance.redis.child.kill('SIGCONT');
	same(liveStates(instance), replayedStates(instance), 'and gives them when it does again');
}

/** Students whose states are in the store only, when the store loses them. */
async function withMostAway(instance) {
	for (let i = 0; i < 2; i++) { // the second time from the store
		await type(instance);
		await mostAway(instance);
	}
	await askedFor(instance);
	await mostAway(instance);
	if (instance.kvs === 'redis') await givenUp(instance);
	await mostAway(instance);
	if (instance.redis) {
		await instance.redis.kill();
		await type(instance);
		ok(instance.status().states.waiting > 0, 'events are acknowledged while their students are out of reach');
		await instance.redis.start();
	}
	await mostAway(instance);
	ok(/ equal\n$/.test(instance.ctl('journal', 'replay', '--verify')), `with ${HOT} students in memory the states are the journal's fold, byte for byte`);
}

const options = { server: 'none', students: STUDENTS };
const stores = ['disk', 'redis', 'redis_ephemeral'];
const sets = [
	...stores.map((kvs) => [kvs, { ...options, kvs }]),
	...stores.map((kvs) => [`${kvs}, most away`, { ...options, kvs, students: HOT * 5, kvsLines: `  state_cache = ${HOT}` }]),
];

await withEach('kvs', sets, async (instance) => {
	if (instance.o.kvsLines) return withMostAway(instance);
	await type(instance);
	await storedAll(instance);
	same(instance.status().kvs, { backend: instance.kvs, trouble: null }, 'all states are in the store');
	if (instance.redis) await redisInTrouble(instance);
	await stops(instance);
	await lookInside(instance);
	await takeOver(instance);
});
