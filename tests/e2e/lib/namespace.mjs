// SPDX-License-Identifier: MIT
// namespace: a test goes into a network of its own, where it may take addresses down
// and where no port is taken. Works for root and, by a user namespace, for others.
import { spawnSync } from 'node:child_process';

const MARK = 'LECTERN_TEST_NETWORK';

/** Returns inside; the process outside ends as the one inside did. */
export function enterNetwork() {
	if (process.env[MARK]) return;
	const user = process.getuid() === 0 ? [] : ['-c', '--keep-caps'];
	const how = spawnSync('unshare', [...user, '-n', '--', 'sh', '-c', 'ip link set lo up && exec "$0" "$@"', process.execPath, ...process.argv.slice(1)],
		{ stdio: 'inherit', env: { ...process.env, [MARK]: '1' } });
	if (how.error) throw how.error;
	process.exit(how.status ?? 1);
}

function route(verb, host) {
	const how = spawnSync('ip', ['route', verb, 'blackhole', `${host}/32`, 'table', 'local'], { encoding: 'utf8' });
	if (how.status !== 0) throw new Error(`ip route ${verb}: ${how.stderr}`);
}

/** Nothing sent to the address arrives, and nothing says so, until it is up again. */
export const addressDown = (host) => route('add', host);
export const addressUp = (host) => route('del', host);
