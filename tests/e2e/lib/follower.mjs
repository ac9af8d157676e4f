// SPDX-License-Identifier: MIT
// follower: a second daemon on the instance's Redis: the same roster and key, but a state_dir, a
// control socket, a port and, where there is XMPP, a component of its own. It follows, or publishes too.
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { freePorts } from '../../../tools/instance.mjs';
import { Service } from '../../../tools/service.mjs';

export class Follower extends Service {
	/** Component: the JID of its own, one of the instance's producers. */
	constructor(instance, { component, follow = true, name = 'follower' } = {}) {
		super(name, instance.at(`${name}.log`));
		Object.assign(this, { instance, component, follow });
		this.conf = instance.at(`${name}.conf`);
		this.dir = instance.at(name);
		process.once('exit', () => this.child?.kill('SIGKILL')); // where a test ends early
	}

	get backends() { return this.instance.pubsub.filter((p) => !p.startsWith('xmpp')).map((p) => `"${p}"`).join(', '); }
	/** What tools/feed.mjs needs to know of a daemon. */
	get web() {
		const { host, o } = this.instance;
		return { host, o, ports: { web: this.port }, feed: `ws://${host}:${this.port}/wsapi/feed` };
	}

	async prepare() {
		const i = this.instance;
		[this.port] = await freePorts(1, i.host);
		fs.mkdirSync(this.dir, { mode: 0o700 });
		let conf = fs.readFileSync(i.at('lectern.conf'), 'utf8')
			.replace(`state_dir = "${i.state}"`, `state_dir = "${this.dir}"`)
			.replace(i.at('lectern.sock'), `${this.dir}/lectern.sock`)
			.replace(`port = ${i.ports.web}`, `port = ${this.port}`)
			.replace(`backends = { ${this.backends} }`, `backends = { "redis" }\n  follow = ${this.follow}`);
		if (this.component) {
			const [jid] = Object.values(i.components);
			conf = conf.replaceAll(i.secretFile(jid), i.secretFile(this.component)).replaceAll(`jid = "${jid}"`, `jid = "${this.component}"`);
		}
		fs.writeFileSync(this.conf, conf, { mode: 0o600 });
		return this;
	}

	async start() {
		this.spawn(this.instance.bin('lecternd'), ['-c', this.conf]);
		await this.ready(() => {
			const status = this.status();
			return status && (status.xmpp ?? []).every((c) => c.state === 'up');
		});
		return this;
	}

	status() {
		try {
			return JSON.parse(execFileSync(this.instance.bin('lecternctl'), ['status', '-c', this.conf], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
		} catch { return null; }
	}
}
