// SPDX-License-Identifier: MIT
// postgres: a private PostgreSQL in a folder of its own, on a free port of loopback and with a
// password, without fsync. PostgreSQL refuses to be root: then it is an ordinary user.
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Service, asUser, freePorts, giveToUser, makeUserDir, write } from './service.mjs';

const USER = 'lectern';

/** Debian keeps the programs beside each other, one folder a version. */
function programs() {
	const all = '/usr/lib/postgresql';
	const versions = fs.existsSync(all) ? fs.readdirSync(all).sort((a, b) => Number(b) - Number(a)) : [];
	const found = versions.map((v) => path.join(all, v, 'bin')).find((bin) => fs.existsSync(path.join(bin, 'initdb')));
	if (!found) throw new Error(`PostgreSQL is not installed: no ${all}/VERSION/bin/initdb`);
	return found;
}

export class PostgreSQL extends Service {
	/** dir: of its data; password: that of its user, made when not said. */
	constructor({ dir, log, password = randomBytes(12).toString('hex') }) {
		super('postgres', log);
		this.link = dir;
		this.password = password;
		this.passwordFile = `${dir}.password`;
		this.bin = programs();
	}

	/** Without the password. */
	get conninfo() { return `host=127.0.0.1 port=${this.port} dbname=postgres user=${USER}`; }
	/** The lines of a postgres section. */
	get section() { return `conninfo = "${this.conninfo}"\n  password_file = "${this.passwordFile}"`; }

	async prepare() {
		[this.port] = await freePorts(1);
		this.dir = makeUserDir(this.link);
		const pw = write(path.join(this.dir, 'pw'), this.password + '\n');
		write(this.passwordFile, this.password + '\n');
		giveToUser(this.dir);
		const [c, a] = asUser(path.join(this.bin, 'initdb'), ['-D', path.join(this.dir, 'data'), '-U', USER, '-A', 'scram-sha-256', '--pwfile', pw, '--no-sync', '-E', 'UTF8', '--locale=C']);
		const how = spawnSync(c, a, { cwd: '/', encoding: 'utf8' });
		if (how.status !== 0) throw new Error(`initdb failed: ${how.stdout}${how.stderr}`);
		return this;
	}

	async start() {
		const [c, a] = asUser(path.join(this.bin, 'postgres'), ['-D', path.join(this.dir, 'data'), '-k', this.dir, '-h', '127.0.0.1', '-p', `${this.port}`, '-F', '-c', 'shared_buffers=16MB', '-c', 'max_connections=30']);
		this.spawn(c, a, { cwd: '/' });
		await this.ready(() => spawnSync(path.join(this.bin, 'pg_isready'), ['-q', '-h', '127.0.0.1', '-p', `${this.port}`]).status === 0);
		return this;
	}

	/** At once, with its connections: SIGTERM would wait for them. */
	stop(signal = 'SIGQUIT', ms) { return super.stop(signal, ms); }

	/** Runs SQL as its user; answers the rows as psql prints them, unaligned. */
	sql(text) {
		return execFileSync(path.join(this.bin, 'psql'), ['-X', '-q', '-t', '-A', '-v', 'ON_ERROR_STOP=1', this.conninfo], {
			input: text, encoding: 'utf8', env: { ...process.env, PGPASSWORD: this.password, PGOPTIONS: '-c client_min_messages=warning' },
		}).trim();
	}
}
