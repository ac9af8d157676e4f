// SPDX-License-Identifier: MIT
// backends: every backend that there is, as `./dev run` starts it: a small class types, its states are
// the journal's fold, and they are again after a kill -9.
import { CHOICES, waitFor } from '../../tools/instance.mjs';
import { Student } from '../../tools/class.mjs';
import { liveStates, ok, replayedStates, same, withEach } from './lib/rig.mjs';

const WORDS = 3;
const STUDENTS = 3;

async function type(instance) {
	const students = instance.students.map((s) => new Student(instance.events, s.user_id).connect());
	for (const s of students) for (let i = 0; i < WORDS; i++) s.type();
	await waitFor(() => students.every((s) => s.acked === s.seq), 'all acks');
	for (const s of students) s.stop();
	return students;
}

function isFold(instance, when) {
	const live = liveStates(instance);
	ok(Object.keys(live).length >= STUDENTS, `there are states ${when}`);
	same(live, replayedStates(instance), 'and they are the journal\'s fold');
}

/** Each backend once, beside the ones that need nothing. */
function sets() {
	const options = { server: 'none', students: STUDENTS };
	const others = (what) => CHOICES[what].slice(1).map((name) => [`${what} ${name}`, { ...options, [what]: name }]);
	return [['embedded', options], ...others('kvs'), ...others('roster')];
}

await withEach('backends', sets(), async (instance) => {
	same(instance.status().roster.students, STUDENTS, 'the roster was read');
	await type(instance);
	isFold(instance, 'after the class has typed');
	await instance.lecternd.kill();
	await instance.startLecternd();
	await type(instance);
	isFold(instance, 'after kill -9 and more typing');
});
