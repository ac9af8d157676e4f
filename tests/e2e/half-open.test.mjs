// SPDX-License-Identifier: MIT
// half-open: an XMPP server that stands still without closing anything. The
// daemon notices by itself, says so, and is back when the server goes on.
import * as fs from 'node:fs';
import { ok, waitFor, withServers } from './lib/rig.mjs';

await withServers('half-open', { students: 1 }, async (instance) => {
	const file = instance.at('lectern.conf');
	fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace('xmpp {', 'xmpp {\n  keepalive = 1'), { mode: 0o600 });
	await instance.lecternd.stop();
	await instance.startLecternd();
	await instance.componentsUp();
	const link = () => instance.status().xmpp[0];
	process.kill(instance.server.pid, 'SIGSTOP');
	try {
		await waitFor(() => link().state === 'down', 'the daemon to notice');
		ok(fs.readFileSync(instance.lecternd.log, 'utf8').includes('the server does not answer any more'), 'a server that stands still is noticed, though nothing was closed');
	} finally {
		process.kill(instance.server.pid, 'SIGCONT');
	}
	await waitFor(() => link().state === 'up', 'the stream to be back', 120_000);
	ok(link().rival === false, 'when it goes on, so does the stream, and our own past is no rival');
});
