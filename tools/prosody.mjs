// SPDX-License-Identifier: MIT
// prosody: a private Prosody in a folder of its own. `site` is what both servers
// are told: {dir, log, host, ports, domain, certificates, components: [{jid, secret}],
// s2s: {hosts, authorities, peers, anybody}}. Without s2s it talks to no other server;
// hosts is text as in /etc/hosts, authorities are the files of the CAs that vouch for
// the others, peers the components whose items come from there; with anybody it believes
// all certificates.
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { trustOf } from './certificates.mjs';
import { Service, asUser, giveToUser, makeUserDir, write } from './service.mjs';

export class Prosody extends Service {
	constructor(site) {
		super('prosody', site.log);
		this.site = site;
	}

	/** The URL where browsers reach it. */
	get websocket() { return `ws://${this.site.host}:${this.site.ports.http}/xmpp-websocket`; }

	prepare() {
		const { site } = this;
		const d = this.dir = makeUserDir(site.dir);
		for (const f of ['server.crt', 'server.key']) fs.copyFileSync(path.join(site.certificates, f), path.join(d, f));
		write(path.join(d, 'trust.pem'), trustOf(site));
		if (site.s2s) write(path.join(d, 'hosts'), site.s2s.hosts);
		write(path.join(d, 'mod_lectern_ready.lua'), [
			'module:set_global();',
			'local path = module:get_option_string("lectern_ready_file");',
			'module:hook_global("server-started", function () local f = io.open(path, "w"); if f then f:write("ready\\n"); f:close(); end end);',
		].join('\n') + '\n', 0o644);
		this.config = write(path.join(d, 'prosody.cfg.lua'), this.configuration());
		fs.mkdirSync(path.join(d, 'data'), { recursive: true, mode: 0o700 });
		giveToUser(d);
	}

	configuration() {
		const { host, ports, domain, components, s2s } = this.site;
		const d = this.dir;
		return `
data_path = "${d}/data"
pidfile = "${d}/prosody.pid"
plugin_paths = { "${d}" }
lectern_ready_file = "${d}/ready"
log = { { levels = { min = "info" }, to = "console" } }
daemonize = false
interfaces = { "${host}" }
local_interfaces = { "${host}" }
c2s_ports = { ${ports.c2s} }
s2s_ports = { ${s2s ? ports.s2s : ''} }
component_ports = { ${ports.component} }
http_ports = { ${ports.http} }
https_ports = { }
legacy_ssl_ports = { }
c2s_direct_tls_ports = { }
s2s_direct_tls_ports = { }
modules_enabled = { "disco", "roster", "saslauth", "tls", "ping", "posix", "smacks", "bosh", "websocket", ${s2s ? '"limits", ' : ''}"lectern_ready" }
modules_disabled = { ${s2s ? '' : '"s2s", '}"offline" }
authentication = "internal_hashed"
allow_registration = false
c2s_require_encryption = true
consider_websocket_secure = true
consider_bosh_secure = true
ssl = { key = "${d}/server.key"; certificate = "${d}/server.crt"; cafile = "${d}/trust.pem" }
${s2s ? this.federation() : ''}gc = { mode = "incremental"; threshold = 200; speed = 200 }
network_settings = { min_wait = 0, nagle = false }
VirtualHost "${domain}"

Component "pubsub.${domain}" "pubsub"
  admins = { ${components.map((c) => `"${c.jid}"`).join(', ')} }

${components.map((c) => `Component "${c.jid}"
  component_secret = "${c.secret}"
  component_conflict_resolve = "kick_old"
`).join('\n')}`;
	}

	/** Debian's limits, and who is exempt from them. Names are looked up in our file and nowhere else. */
	federation() {
		const zone = this.site.domain.split('.').at(-1);
		return `s2s_require_encryption = true
s2s_secure_auth = ${!this.site.s2s.anybody}
limits = { c2s = { rate = "10kb/s" }, s2sin = { rate = "30kb/s" } }
unlimited_jids = { ${this.site.s2s.peers.map((p) => `"${p}"`).join(', ')} }
unbound = { resolvconf = false; hoststxt = "${this.dir}/hosts"; options = { ["local-zone:"] = "${zone}. static" } }
`;
	}

	async addUser(name, password) {
		const [c, a] = asUser('prosodyctl', ['--config', this.config, 'register', name, this.site.domain, password]);
		const how = spawnSync(c, a, { cwd: '/', env: { ...process.env, HOME: this.dir }, encoding: 'utf8' });
		if (how.status !== 0) throw new Error(`prosodyctl could not make ${name}: ${how.stdout}${how.stderr}`);
	}

	async start() {
		const ready = path.join(this.dir, 'ready');
		fs.rmSync(ready, { force: true });
		const [c, a] = asUser('prosody', ['--config', this.config, '-F']);
		this.spawn(c, a, { cwd: '/', env: { ...process.env, HOME: this.dir } });
		await this.ready(() => fs.existsSync(ready));
		return this;
	}
}
