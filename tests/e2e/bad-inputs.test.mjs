// SPDX-License-Identifier: MIT
// bad inputs: every row of bad-inputs.json, on an instance that is as strict as
// it can be and has short time limits.
import * as fs from 'node:fs';
import { ok, withInstance } from './lib/rig.mjs';
import { playAll } from './bad-inputs.mjs';

const options = { server: 'none', students: 1, config: 'limits {\n  handshake_timeout = 5\n  frame_timeout = 5\n}\n' };

await withInstance('bad-inputs', options, async (instance) => {
	const file = instance.at('lectern.conf');
	const conf = fs.readFileSync(file, 'utf8').replace('allow_no_origin = true', `allow_no_origin = false\n  hosts = { "127.0.0.1:${instance.ports.web}" }`);
	fs.writeFileSync(file, conf, { mode: 0o600 });
	instance.ctl('reload');
	ok(await playAll(instance.describe(), { strict: true, alone: true }) === 0, 'every bad input got its answer');
	const log = fs.readFileSync(instance.lecternd.log, 'utf8');
	ok(!log.includes('never-to-be-logged'), 'no token in the log');
});
