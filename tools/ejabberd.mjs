// SPDX-License-Identifier: MIT
// ejabberd: a private ejabberd in a folder of its own, told the same as Prosody
// (prosody.mjs). Its Erlang is started directly and without distribution: no
// epmd, no cookie, and the process we know is the one that signals are for.
import * as fs from 'node:fs';
import * as http from 'node:http';
import * as net from 'node:net';
import * as path from 'node:path';
import { trustOf } from './certificates.mjs';
import { Service, asUser, asUserWithHosts, giveToUser, makeUserDir, write } from './service.mjs';

const CTL = '/usr/sbin/ejabberdctl';
const CONFLICT = 409; // the account is there already

/** Where Debian put the libraries: its ejabberdctl knows. */
function erlangLibraries() {
	return /^ERL_LIBS='?([^'\n]+)/m.exec(fs.readFileSync(CTL, 'utf8'))[1];
}

export class Ejabberd extends Service {
	constructor(site) {
		super('ejabberd', site.log);
		this.site = site;
		this.users = new Map();
	}

	/** The URL where browsers reach it. */
	get websocket() { return `ws://${this.site.host}:${this.site.ports.http}/ws`; }

	prepare() {
		const { site } = this;
		const d = this.dir = makeUserDir(site.dir);
		write(path.join(d, 'trust.pem'), trustOf(site));
		write(path.join(d, 'server.pem'), ['server.crt', 'server.key'].map((f) => fs.readFileSync(path.join(site.certificates, f))).join(''));
		// Erlang asks no name server about SRV records; addresses are looked up by libc, in /etc/hosts.
		write(path.join(d, 'inetrc'), '{lookup,[file]}.\n{resolv_conf,""}.\n{host,{127,0,0,1},["localhost"]}.\n');
		if (site.s2s) write(path.join(d, 'hosts'), `127.0.0.1 localhost\n${site.s2s.hosts}`, 0o644);
		write(path.join(d, 'ejabberd.yml'), this.configuration());
		fs.mkdirSync(path.join(d, 'spool'), { recursive: true, mode: 0o700 });
		giveToUser(d);
	}

	configuration() {
		const { host, ports, domain, components, s2s } = this.site;
		const d = this.dir;
		return `
loglevel: info
log_rotate_count: 0
hosts: ["${domain}"]
certfiles: ["${d}/server.pem"]
ca_file: "${d}/trust.pem"
auth_method: internal
auth_password_format: scram
disable_sasl_mechanisms: ["digest-md5", "X-OAUTH2"]
${s2s ? 's2s_use_starttls: required\ns2s_max_retry_delay: 5' : 's2s_access: none'}
listen:
  - port: ${ports.c2s}
    ip: "${host}"
    module: ejabberd_c2s
    starttls: true
    starttls_required: true
    max_stanza_size: 262144
${s2s ? `  - port: ${ports.s2s}
    ip: "${host}"
    module: ejabberd_s2s_in
    max_stanza_size: 524288` : ''}
  - port: ${ports.component}
    ip: "${host}"
    module: ejabberd_service
    global_routes: false
    max_stanza_size: 524288
    hosts:
${components.map((c) => `      "${c.jid}": {password: "${c.secret}"}`).join('\n')}
  - port: ${ports.http}
    ip: "${host}"
    module: ejabberd_http
    request_handlers:
      /ws: ejabberd_http_ws
      /bosh: mod_bosh
  - port: "unix:${this.api}"
    module: ejabberd_http
    request_handlers:
      /api: mod_http_api
api_permissions:
  "accounts, over the socket of this folder":
    from: mod_http_api
    who: all
    what: register
acl:
  component:
    server: [${components.map((c) => `"${c.jid}"`).join(', ')}]
access_rules:
  pubsub_createnode:
    allow: component
modules:
  mod_admin_extra: {}
  mod_adhoc: {}
  mod_bosh: {}
  mod_caps: {}
  mod_disco: {}
  mod_ping: {}
  mod_roster: {}
  mod_stream_mgmt: {}
  mod_pubsub:
    host: "pubsub.@HOST@"
    access_createnode: pubsub_createnode
    plugins: ["flat"]
    default_node_config:
      access_model: whitelist
      max_items: 1
      send_last_published_item: on_sub
    force_node_config:
      "*":
        access_model: whitelist
`;
	}

	/** Accounts are made over a Unix socket in the server's folder, which only its user enters. */
	get api() { return path.join(this.dir, 'api.sock'); }

	/** Makes the account now, or at the start. */
	async addUser(name, password) {
		this.users.set(name, password);
		if (this.alive) await this.register(name, password);
	}

	register(user, password) {
		const body = JSON.stringify({ user, host: this.site.domain, password });
		return new Promise((ok, no) => {
			const options = { socketPath: this.api, method: 'POST', path: '/api/register', headers: { Host: 'localhost', 'Content-Type': 'application/json' } };
			const request = http.request(options, (answer) => {
				let text = '';
				answer.on('data', (b) => { text += b; });
				answer.on('end', () => (answer.statusCode === 200 || answer.statusCode === CONFLICT ? ok() : no(new Error(`ejabberd refused to make ${user}: ${answer.statusCode} ${text}`))));
			});
			request.on('error', no);
			request.end(body);
		});
	}

	environment() {
		const d = this.dir;
		return {
			...process.env, HOME: d, ERL_LIBS: erlangLibraries(), ERL_INETRC: path.join(d, 'inetrc'), ERL_CRASH_DUMP_BYTES: '0',
			EJABBERD_CONFIG_PATH: path.join(d, 'ejabberd.yml'), EJABBERD_LOG_PATH: path.join(d, 'ejabberd.log'),
			EJABBERD_PID_PATH: path.join(d, 'ejabberd.pid'), CONTRIB_MODULES_CONF_DIR: path.join(d, 'modules.d'),
		};
	}

	async start() {
		fs.rmSync(this.api, { force: true });
		// +sbwt none: schedulers without work do not spin.
		const [c, a] = this.command('erl', ['+K', 'true', '+sbwt', 'none', '+sbwtdcpu', 'none', '+sbwtdio', 'none', '-noinput',
			'-mnesia', 'dir', `"${path.join(this.dir, 'spool')}"`, '-ejabberd', 'log_rotate_count', '0', '-s', 'ejabberd']);
		this.spawn(c, a, { cwd: this.dir, env: this.environment() });
		await this.ready(() => this.answersStream());
		for (const [name, password] of this.users) await this.register(name, password);
		return this;
	}

	command(command, args) {
		return this.site.s2s ? asUserWithHosts(path.join(this.dir, 'hosts'), command, args) : asUser(command, args);
	}

	/** Its ports are open before its modules are there, so only the header of a stream tells. */
	answersStream() {
		const { host, ports, domain } = this.site;
		return new Promise((r) => {
			const s = net.connect({ host, port: ports.c2s }, () => s.write(`<?xml version='1.0'?><stream:stream to='${domain}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`));
			s.on('data', (b) => { r(String(b).includes('<stream:stream')); s.destroy(); });
			s.on('error', () => r(false));
			s.on('close', () => r(false));
		});
	}
}
