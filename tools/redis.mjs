// SPDX-License-Identifier: MIT
// redis: a private redis-server in a folder of its own, on a loopback port, with a
// password, and without persistence unless it is asked for.
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { Service, write } from './service.mjs';

const TRIES_MAX = 50;

export class RedisServer extends Service {
	/** Site: {dir, log, host, port, appendonly}; appendonly "always": no write is answered, or told to
	 *  subscribers, before it is on the disk. */
	constructor(site) {
		super('redis', site.log);
		this.site = site;
	}

	get address() { return `${this.site.host}:${this.site.port}`; }
	get passwordFile() { return path.join(this.site.dir, 'password'); }
	get password() { return fs.readFileSync(this.passwordFile, 'utf8').trim(); }

	prepare() {
		const { dir, host, port, appendonly } = this.site;
		fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
		if (!fs.existsSync(this.passwordFile)) write(this.passwordFile, randomBytes(16).toString('hex') + '\n');
		this.config = write(path.join(dir, 'redis.conf'), `bind ${host}
port ${port}
dir ${dir}
save ""
appendonly ${appendonly ? 'yes' : 'no'}
appendfsync ${appendonly === 'always' ? 'always' : 'everysec'}
requirepass ${this.password}
enable-debug-command local
`);
	}

	/** The lines of lecternd's section "redis". */
	get lines() { return `  address = "${this.address}"\n  password_file = "${this.passwordFile}"`; }

	/** Its port may be somebody's for a moment, who connected from there while it was down.
	 * Takes words of its command line. */
	async start(...words) {
		for (let tries = 1; ; tries++) {
			this.spawn('redis-server', [this.config, ...words]);
			try {
				await this.ready(() => this.ask('PING').then((a) => a.startsWith('+PONG'), () => false));
				return this;
			} catch (e) {
				if (tries === TRIES_MAX || !e.message.includes('in use')) throw e;
				await new Promise((r) => setTimeout(r, 100));
			}
		}
	}

	/** One command over a connection of its own; the answer as it comes, in Redis's protocol. */
	ask(...words) {
		const command = (w) => `*${w.length}\r\n${w.map((x) => `$${Buffer.byteLength(x)}\r\n${x}\r\n`).join('')}`;
		return new Promise((resolve, reject) => {
			let got = '';
			const s = net.connect(this.site.port, this.site.host, () => s.end(command(['AUTH', this.password]) + command(words) + command(['QUIT'])));
			s.setEncoding('utf8');
			s.on('data', (d) => { got += d; });
			s.on('error', reject);
			s.on('close', () => resolve(got.replace(/^\+OK\r\n/, '').replace(/\+OK\r\n$/, '')));
		});
	}
}
