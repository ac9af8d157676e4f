// SPDX-License-Identifier: MIT
// rosters: the same rows in each format that a school may have them in. A row is
// [class, role, id, JID, name]. Each format is written beside its place and put there whole.
import * as fs from 'node:fs';
import { write } from './service.mjs';

const cell = (v) => (/[",]/.test(v) ? `"${v.replaceAll('"', '""')}"` : v);
const csv = (head, rows) => [head, ...rows].map((r) => r.map(cell).join(',')).join('\n') + '\n';

/** By name, as in the configuration: where it is in the instance's folder, and how it is written. */
export const ROSTERS = {
	csv: {
		name: 'csv', file: 'roster.csv',
		write(file, rows) {
			write(`${file}.new`, csv(['class', 'role', 'id', 'jid', 'name'], rows));
			fs.renameSync(`${file}.new`, file);
		},
	},
};
