// SPDX-License-Identifier: MIT
// strict: an instance as strict as it can be, with short time limits, for the
// rows of bad-inputs.json.
import * as fs from 'node:fs';
import { playAll } from '../bad-inputs.mjs';
import { ok, withInstance } from './rig.mjs';

const LIMITS = 'limits {\n  handshake_timeout = 5\n  frame_timeout = 5\n}\n';

export async function playStrictly(name, options) {
	await withInstance(name, { server: 'none', students: 1, config: LIMITS, ...options }, async (instance) => {
		const file = instance.at('lectern.conf');
		const events = options.tls ? instance.wss : instance.events;
		const conf = fs.readFileSync(file, 'utf8').replace('allow_no_origin = true', `allow_no_origin = false\n  hosts = { "${new URL(events).host}" }`);
		fs.writeFileSync(file, conf, { mode: 0o600 });
		instance.ctl('reload');
		ok(await playAll({ ...instance.describe(), events }, { strict: true, alone: true }) === 0, 'every bad input got its answer');
		const log = fs.readFileSync(instance.lecternd.log, 'utf8');
		ok(!log.includes('never-to-be-logged'), 'no token in the log');
	});
}
