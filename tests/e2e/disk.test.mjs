// SPDX-License-Identifier: MIT
// disk: a disk that is really full. Nothing is acknowledged that is not on it,
// clients are told to wait, and service resumes by itself when there is space.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { ok, same, liveStates, waitFor, withInstance } from './lib/rig.mjs';
import { Student } from '../../tools/class.mjs';

// lecternd lives in a mount namespace of its own whose state folder is a small tmpfs.
const FILLER = 'filler';
const namespace = process.getuid() === 0 ? ['unshare', '-m'] : ['unshare', '-rm'];
const wrapper = (dir) => [...namespace, 'bash', '-c',
	`mkdir -p ${dir}/state && mount -t tmpfs -o size=3m,mode=0700 tmpfs ${dir}/state && head -c 2200000 /dev/zero > ${dir}/state/${FILLER} && exec "$@"`, 'lecternd'];

await withInstance('disk', { students: 3, server: 'none', wrapperOf: wrapper, state: 'state' }, async (instance) => {
	const inside = (...names) => path.join('/proc', String(instance.lecternd.pid), 'root', instance.at('state', ...names));
	const retries = new Set();
	const students = instance.students.map((s) => {
		const st = new Student(instance.events, s.user_id).connect();
		st.socket.on('message', (m) => { if (JSON.parse(m).status === 'retry') retries.add(s.user_id); });
		return st;
	});
	await waitFor(() => students.every((s) => s.live), 'students');

	// The filler leaves room for some events, then there is none.
	const typing = setInterval(() => students.forEach((s) => s.type()), 5);
	await waitFor(() => retries.size === students.length, '{"status":"retry"} for every student');
	ok(true, 'a full disk: every waiting client is told to wait');
	ok(instance.status().journal.stalled === true, 'status names the stall');
	clearInterval(typing);
	const acked = students.map((s) => s.acked);
	ok(students.some((s) => s.acked < s.seq), 'what is not on the disk is not acknowledged');
	const counted = () => instance.students.map((s) => liveStates(instance)[`Internal,activity.event_count,STUDENT:${s.id}`]?.value.count ?? 0);
	same(counted(), acked, 'and has no effect on any state');

	fs.rmSync(inside(FILLER));
	await waitFor(() => students.every((s) => s.acked === s.seq), 'acks after the disk has space again', 60_000);
	ok(true, 'service resumes by itself, everything is acknowledged');
	same(counted(), students.map((s) => s.seq), 'every event is counted once');
	ok(instance.status().journal.stalled === false, 'status says so');
	students.forEach((s) => s.stop());
});
