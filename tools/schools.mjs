// SPDX-License-Identifier: MIT
// schools: several instances on one machine that trust each other's CA: each with
// an XMPP server, a domain, an address and a private CA of its own. A teacher of the
// second one teaches in the first.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { makeCertificates } from './certificates.mjs';
import { Instance, S2S_PORT } from './instance.mjs';
import { freeAddress } from './service.mjs';

const GUEST = 'guest';

export class Schools {
	/** Options: those of an instance for all of them, servers (a name for each school), and
	 *  each (options of single ones). Their domains are a.test, b.test and so on. */
	constructor({ dir, servers = ['prosody', 'prosody'], each = [], ...o }) {
		Object.assign(this, { dir: path.resolve(dir), servers, each, o });
		this.domains = servers.map((_, i) => `${String.fromCharCode(97 + i)}.test`);
		this.all = [];
	}

	get guest() { return this.all[1].users[GUEST]; }

	/** Addresses and certificates, which each has to know of the others. */
	async prepare() {
		const hosts = [];
		for (const domain of this.domains) {
			let host;
			do host = await freeAddress(S2S_PORT); while (hosts.includes(host));
			hosts.push(host);
			fs.mkdirSync(path.join(this.dir, domain), { recursive: true, mode: 0o711 });
			makeCertificates(path.join(this.dir, domain), domain);
		}
		fs.chmodSync(this.dir, 0o711); // the servers' user walks through
		const s2s = {
			hosts: this.domains.map((d, i) => `${hosts[i]} ${d} lectern.${d} pubsub.${d}\n`).join(''),
			authorities: this.domains.map((d) => path.join(this.dir, d, 'ca.pem')),
			peers: this.domains.map((d) => `lectern.${d}`),
		};
		this.all = this.servers.map((server, i) => new Instance({
			...this.o, dir: path.join(this.dir, this.domains[i]), server, domain: this.domains[i], host: hosts[i], s2s,
			guests: i === 0 ? [`${GUEST}@${this.domains[1]}`] : [], ...this.each[i],
		}));
	}

	async start() {
		await this.prepare();
		await Promise.all(this.all.map((s) => s.start()));
		await this.all[1].addUser(GUEST);
		return this;
	}

	async stop() {
		const results = await Promise.allSettled(this.all.map((s) => s.stop()));
		const bad = results.find((r) => r.status === 'rejected');
		if (bad) throw bad.reason;
		return results[0]?.value;
	}

	remove() {
		for (const s of this.all) s.remove();
		fs.rmSync(this.dir, { recursive: true, force: true });
	}

	describe() {
		return { schools: this.all.map((s, i) => ({ ...s.describe(), ...(i === 1 && { guest_teacher: this.guest }) })) };
	}
}
