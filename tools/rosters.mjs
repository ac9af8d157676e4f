// SPDX-License-Identifier: MIT
// rosters: the same rows in each format that a school may have them in. A row is
// [class, role, id, JID, name]. Each format is written beside its place and put there whole.
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { write } from './service.mjs';

const cell = (v) => (/[",]/.test(v) ? `"${v.replaceAll('"', '""')}"` : v);
const csv = (head, rows) => [head, ...rows].map((r) => r.map(cell).join(',')).join('\n') + '\n';

// ---- databases ----

const SCHEMAS = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', 'docs');
const quote = (v) => (v === '' ? 'NULL' : `'${v.replaceAll("'", "''")}'`);
const insert = (table, rows) => (rows.length === 0 ? '' : `INSERT INTO ${table} VALUES ${[...new Set(rows.map((r) => `(${r.map(quote).join(', ')})`))].join(',\n')};\n`);

/** SQL that puts the rows in the place of all there are; a guardian's id is the student's, as in the CSV file. */
function sql(rows) {
	const guardians = rows.filter(([, role]) => role === 'guardian').map(([, , ward, jid, name]) => [`g ${jid}`, ward, jid, name]);
	const members = rows.filter(([, role]) => role !== 'guardian');
	return ['enrollments', 'guardians', 'identities', 'people', 'courses'].map((t) => `DELETE FROM lectern_${t};\n`).join('')
		+ insert('lectern_courses', members.map(([course]) => [course, '']))
		+ insert('lectern_people (id, jid, name)', [...members.map(([, , id, jid, name]) => [id, jid, name]), ...guardians.map(([id, , jid, name]) => [id, jid, name])])
		+ insert('lectern_enrollments', members.map(([course, role, id]) => [course, id, role]))
		+ insert('lectern_guardians', guardians.map(([id, ward]) => [ward, id]));
}

const schema = (name) => fs.readFileSync(path.join(SCHEMAS, `schema-${name}.sql`), 'utf8');

const LITE = 'import sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None); db.executescript(sys.stdin.read())';

/** By name, as in the configuration: where it is in the instance's folder, or what database it is in, and how it is written there. */
export const ROSTERS = {
	csv: {
		name: 'csv', file: 'roster.csv',
		write(file, rows) {
			write(`${file}.new`, csv(['class', 'role', 'id', 'jid', 'name'], rows));
			fs.renameSync(`${file}.new`, file);
		},
	},
	sqlite: {
		name: 'sqlite', file: 'roster.db',
		write(file, rows) {
			const first = fs.existsSync(file) ? '' : schema('sqlite');
			execFileSync('python3', ['-c', LITE, file], { input: `PRAGMA foreign_keys = ON; BEGIN;\n${first}${sql(rows)}COMMIT;` });
		},
	},
	postgres: {
		name: 'postgres',
		write(database, rows) {
			const there = database.sql("SELECT to_regclass('lectern_schema') IS NOT NULL") === 't';
			database.sql(`BEGIN;\n${there ? '' : schema('postgres')}${sql(rows)}COMMIT;`);
		},
	},
};
