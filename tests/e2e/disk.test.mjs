// SPDX-License-Identifier: MIT
// disk: a disk that takes nothing more (a file size limit, set and lifted from
// outside while the daemon runs). Nothing is acknowledged that is not on it,
// clients are told to wait, and service resumes by itself when there is room.
// ENOSPC and EIO at each single call are injected in unit/test_journal_fail.
import { execFileSync } from 'node:child_process';
import { ok, same, liveStates, waitFor, withInstance } from './lib/rig.mjs';
import { Student } from '../../tools/class.mjs';

const FULL = 64; // bytes: less than the smallest segment

await withInstance('disk', { students: 3, server: 'none' }, async (instance) => {
	const limitFiles = (size) => execFileSync('prlimit', ['--pid', String(instance.lecternd.pid), `--fsize=${size}:unlimited`]);
	const retries = new Set();
	const students = instance.students.map((s) => {
		const st = new Student(instance.events, s.user_id).connect();
		st.socket.on('message', (m) => { if (JSON.parse(m).status === 'retry') retries.add(s.user_id); });
		return st;
	});
	await waitFor(() => students.every((s) => s.live), 'students');

	const typing = setInterval(() => students.forEach((s) => s.type()), 5);
	await waitFor(() => students.every((s) => s.acked > 20), 'the first acks');
	limitFiles(FULL);
	await waitFor(() => retries.size === students.length, '{"status":"retry"} for every student');
	ok(true, 'a full disk: every waiting client is told to wait');
	ok(instance.status().journal.stalled === true, 'status names the stall');
	clearInterval(typing);
	const acked = students.map((s) => s.acked);
	ok(students.some((s) => s.acked < s.seq), 'what is not on the disk is not acknowledged');
	const counted = () => instance.students.map((s) => liveStates(instance)[`Internal,activity.event_count,STUDENT:${s.id}`]?.value.count ?? 0);
	same(counted(), acked, 'and has no effect on any state');

	limitFiles('unlimited');
	await waitFor(() => students.every((s) => s.acked === s.seq), 'acks after the disk has space again', 60_000);
	ok(true, 'service resumes by itself, everything is acknowledged');
	same(counted(), students.map((s) => s.seq), 'every event is counted once');
	ok(instance.status().journal.stalled === false, 'status says so');
	students.forEach((s) => s.stop());
});
