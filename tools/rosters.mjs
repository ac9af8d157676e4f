// SPDX-License-Identifier: MIT
// rosters: the same rows in each format that a school may have them in. A row is
// [class, role, id, JID, name]; of a guardian the id is the student's. Each file is written beside its
// place and put there whole.
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { write } from './service.mjs';

const cell = (v) => (/[",]/.test(v) ? `"${v.replaceAll('"', '""')}"` : v);
const csv = (head, rows) => [head, ...rows].map((r) => r.map(cell).join(',')).join('\n') + '\n';

/** Whoever reads meanwhile sees the old text or the new one. */
function replace(file, text) {
	write(`${file}.new`, text);
	fs.renameSync(`${file}.new`, file);
}

/** Puts these texts, {name: text}, in the place of all in the folder. */
function replaceFolder(dir, texts) {
	fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
	for (const [name, text] of Object.entries(texts)) replace(path.join(dir, name), text);
	for (const name of fs.readdirSync(dir)) if (!(name in texts)) fs.rmSync(path.join(dir, name));
}

const unique = (values) => [...new Set(values)];
const only = (rows, role) => rows.filter((r) => r[1] === role);
const classesOf = (rows) => unique(rows.map((r) => r[0]).filter(Boolean));

/** "Ada M. Byron" as given and family name. */
function nameParts(name) {
	const words = name.split(' ');
	return [words.slice(0, -1).join(' ') || name, words.length > 1 ? words.at(-1) : ''];
}

// ---- OneRoster 1.1 CSV ----

function oneRoster(rows) {
	const person = ([, role, id, jid]) => (role === 'student' ? id : `p-${jid}`);
	const agentsOf = new Map();
	for (const r of only(rows, 'guardian')) agentsOf.set(r[2], [...agentsOf.get(r[2]) ?? [], person(r)]);
	const users = new Map(rows.map((r) => {
		const [, role, id, jid, name] = r;
		const agents = role === 'student' ? (agentsOf.get(id) ?? []).join(',') : '';
		return [person(r), [person(r), 'active', role, ...nameParts(name), '', agents, 'true', 'school', jid]];
	}));
	const attend = rows.filter((r) => r[1] !== 'guardian');
	const tables = {
		orgs: [['sourcedId', 'status', 'name', 'type'], [['school', 'active', 'School', 'school']]],
		classes: [['sourcedId', 'status', 'title', 'schoolSourcedId'], classesOf(attend).map((c) => [c, 'active', c, 'school'])],
		users: [['sourcedId', 'status', 'role', 'givenName', 'familyName', 'email', 'agentSourcedIds', 'enabledUser', 'orgSourcedIds', 'metadata.jid'], [...users.values()]],
		enrollments: [['sourcedId', 'status', 'classSourcedId', 'schoolSourcedId', 'userSourcedId', 'role'],
			attend.map((r, i) => [`e${i}`, 'active', r[0], 'school', person(r), r[1]])],
	};
	const files = ['orgs', 'academicSessions', 'courses', 'classes', 'users', 'enrollments'];
	const manifest = [['manifest.version', '1.0'], ['oneroster.version', '1.1'], ...files.map((f) => [`file.${f}`, tables[f] ? 'bulk' : 'absent'])];
	return {
		'manifest.csv': csv(['propertyName', 'value'], manifest),
		...Object.fromEntries(Object.entries(tables).map(([name, [head, lines]]) => [`${name}.csv`, csv(head, lines)])),
	};
}

// ---- the reference's files: no JIDs of students, no guardians ----

function courseFiles(rows) {
	const texts = {};
	for (const jid of unique(only(rows, 'teacher').map((r) => r[3])))
		texts[`courselist-${jid}.json`] = JSON.stringify(only(rows, 'teacher').filter((r) => r[3] === jid).map((r) => ({ id: r[0], name: r[0] })));
	for (const c of classesOf(rows))
		texts[`courseroster-${c}.json`] = JSON.stringify(only(rows, 'student').filter((r) => r[0] === c).map(([, , id, , name]) => {
			const [given_name, family_name] = nameParts(name);
			return { user_id: id, profile: { name: { given_name, family_name, full_name: name } } };
		}));
	return texts;
}

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
		write: (file, rows) => replace(file, csv(['class', 'role', 'id', 'jid', 'name'], rows)),
	},
	oneroster: { name: 'oneroster', file: 'oneroster', write: (file, rows) => replaceFolder(file, oneRoster(rows)) },
	files: { name: 'files', file: 'courses', write: (file, rows) => replaceFolder(file, courseFiles(rows)) },
	all: { name: 'all', class: 'all', write: () => {} }, // the daemon knows whom it has seen
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
