// SPDX-License-Identifier: MIT
// signin: HTTP of the web side: who may sign in, what each address shows to nobody, to
// students and to teachers, sessions and their ends, limits, hostile requests.
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { ok, same, waitFor, withEach } from './lib/rig.mjs';
import { ROOT } from '../../tools/instance.mjs';
import { Feed, ask, signIn, trySignIn } from '../../tools/feed.mjs';

const get = (instance, address, cookie) => ask(instance, 'GET', address, { cookie });
const reload = (instance) => JSON.parse(instance.ctl('reload'));

const CHEAP_HASH = '$2b$04$1yLTYoQoxClsCqED.rj8R.hLm0Bk168PobR9XVdICjP49Pjf3SPye'; // of plum

async function people(instance) {
	for (const [name, role, className] of [['kid', 'student', '7b'], ['tom', 'teacher', '8a'], ['boss', 'admin', null]]) {
		await instance.addUser(name);
		instance.writePassword(name);
		Object.assign(instance.users[name], { role, className });
	}
	fs.appendFileSync(instance.at('passwords'), `quick:${CHEAP_HASH}\n`);
	instance.students[0].jid = instance.users.kid.jid;
	const rows = () => [...instance.rosterRows(), ['8a', 'teacher', 't9', instance.users.tom.jid, 'Tom'], ['8a', 'student', 'tc-testcase-x', '', 'Xenia Yellow']];
	instance.writeRoster(rows());
	same(reload(instance).ok, true, 'new users and a new roster by reload');
}

async function words(instance) {
	const { teacher } = instance.users;
	const config = await get(instance, '/config.json');
	same([config.status, config.json.mode, config.json.password_auth, config.json.google_oauth, config.json.lti_auth, config.json.http_basic_auth],
		[200, 'server', true, false, false, false], '/config.json says what there is');
	ok('modules' in config.json && 'theme' in config.json, 'in the shape of the Learning Observer');
	same((await get(instance, '/auth/userinfo')).text.trim(), 'null', '/auth/userinfo of nobody is null');
	const wrong = await trySignIn(instance, teacher.jid, 'wrong');
	const unknown = await trySignIn(instance, 'nobody', 'wrong');
	same([wrong.status, wrong.text, wrong.cookie], [200, '{"status":"unauthorized"}\n', undefined], 'a wrong password is unauthorized and sets no cookie');
	same([unknown.status, unknown.text], [wrong.status, wrong.text], 'and an unknown user is told the same');
	const order = [];
	const quick = trySignIn(instance, 'quick', 'wrong').then((a) => order.push(a.json.status));
	for (let i = 0; i < 2; i++) order.push((await get(instance, '/health')).json.status);
	await quick;
	same(order, ['ok', 'ok', 'unauthorized'], 'nor does the time tell, although this one\'s hash is computed in no time');
	const right = await trySignIn(instance, teacher.jid, teacher.password);
	same([right.status, right.text], [200, '{"status":"authorized"}\n'], 'the right one is authorized');
	const set = right.headers['set-cookie'][0];
	ok(/^lectern_session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=\d+$/.test(set), 'the cookie is HttpOnly and SameSite');
	const form = new URLSearchParams({ username: 'Teacher', password: teacher.password }).toString();
	const byForm = await trySignIn(instance, '', '', { type: 'application/x-www-form-urlencoded; charset=UTF-8', body: form });
	same(byForm.json, { status: 'authorized' }, 'a form does, too, and a name without a domain');
	const { json: me } = await get(instance, '/auth/userinfo', right.cookie);
	same([me.user_id, me.name, me.role, me.roles, me.authorized], [teacher.jid, 'Teacher', 'teacher', ['teacher'], true], '/auth/userinfo says who one is');
	const roleOf = async (name) => (await get(instance, '/auth/userinfo', await signIn(instance, instance.users[name]))).json.role;
	same([await roleOf('kid'), await roleOf('boss'), await roleOf('stranger')], ['student', 'admin', 'guest'], 'roles come from roster and configuration');
	const avatar = await get(instance, '/auth/default-avatar.svg');
	same([avatar.status, avatar.headers['content-type']], [200, 'image/svg+xml'], 'the avatar');
	const log = fs.readFileSync(instance.lecternd.log, 'utf8');
	const cookie = right.cookie.split('=')[1];
	ok(![teacher.password, cookie, 'kid@', instance.users.kid.password].some((s) => log.includes(s)), 'the log has no password, no cookie and no student');
	const again = await trySignIn(instance, teacher.jid, teacher.password, { cookie: right.cookie });
	same((await get(instance, '/auth/userinfo', right.cookie)).json, null, 'signing in again ends the session before it');
	await trySignIn(instance, SECRET, 'x');
	const lines = instance.ctl('audit', '--events').split('\n').filter((l) => l.includes('sign')).map((l) => JSON.parse(l));
	const of = (what, reader) => lines.filter((l) => l.what === what && l.reader === reader && l.door === 'web' && l.peer === instance.host);
	ok(of('signed_in', teacher.jid).length === 3 && of('signed_in', teacher.jid)[0].by === 'file', 'the audit file says who signed in, and by which backend');
	same(of('sign_in_refused', teacher.jid).map((l) => l.why), ['password'], 'and who tried in vain');
	same(of('sign_in_refused', undefined).length, 3, 'also those who are nobody here, without what they typed');
	const audit = fs.readFileSync(instance.at('audit.jsonl'), 'utf8');
	ok(![SECRET, teacher.password, 'nobody'].some((s) => audit.includes(s)), 'no password and no name of a stranger stand there');
	return again.cookie;
}

const SECRET = 'a-password-typed-for-a-name';

/** What every address in the table of routes answers to whom. */
const EXPECTED = { // open: shows nothing of students; own: only to who has the class; signed: what the user may read
	'/health': 'open', '/config.json': 'open', '/auth/userinfo': 'open', '/auth/login/password': 'post', '/auth/logout': 'open',
	'/auth/default-avatar.svg': 'open', '/wsapi/in': 'socket', '/wsapi/in/': 'socket', '/wsapi/feed': 'feed', '/wsapi/feed/': 'feed',
	'/webapi/courselist': 'signed', '/webapi/courselist/': 'signed', '/webapi/courseroster/': 'own',
	'/webapi/course_dashboards': 'signed', '/webapi/student_dashboards': 'signed',
};

function routes() {
	const table = /const struct route routes\[\] = \{([\s\S]*?)\n\};/.exec(fs.readFileSync(path.join(ROOT, 'web', 'request.c'), 'utf8'))[1];
	return [...table.matchAll(/\.path = "([^"]+)"/g)].map((m) => m[1]);
}

async function everyRoute(instance) {
	const there = routes();
	same([...there].sort(), Object.keys(EXPECTED).sort(), 'every address of the table is looked at here');
	const secrets = instance.students.flatMap((s) => [s.id, s.pseudonym, `"${s.name}"`]);
	const own = `"${instance.students[0].name}"`; // whom the kid is
	const shows = (a, who) => secrets.some((s) => !(who === 'kid' && s === own) && a.text.includes(s));
	const cookies = { nobody: undefined, other: await signIn(instance, instance.users.tom), stranger: await signIn(instance, instance.users.stranger),
		admin: await signIn(instance, instance.users.boss), kid: await signIn(instance, instance.users.kid) };
	for (const route of there) {
		const address = route === '/webapi/courseroster/' ? `${route}7b` : route;
		const kind = EXPECTED[route];
		for (const [who, cookie] of Object.entries(cookies)) {
			if (route === '/auth/logout' && cookie) continue;
			const a = await get(instance, address, cookie);
			const want = { open: 200, post: 405, socket: 426, feed: cookie ? 426 : 426, signed: cookie ? 200 : 401, own: cookie ? 403 : 401 }[kind];
			ok(a.status === want && !shows(a, who), `${address} for ${who}: ${a.status}, nothing of a student of 7b`);
		}
	}
	const closed = await new Feed(instance, undefined).opened.then(() => 101, (e) => e.status);
	same(closed, 401, 'a proper WebSocket handshake without a session: 401');
	for (const address of ['/', '/webapi/', '/webapi/courseroster', '/auth', '/admin/status', '/filesystem-state', '/start-impersonation/u1', '/auth/userinfo/', '/AUTH/USERINFO'])
		same((await get(instance, address, cookies.admin)).status, 404, `${address}: nothing`);
	return cookies;
}

async function courses(instance, teacher, { other, kid }) {
	const list = (await get(instance, '/webapi/courselist/', teacher)).json;
	same(list.map((c) => c.id), ['7b'], 'the teacher has her class');
	const feed = await new Feed(instance, other).opened;
	same((await feed.subscribe('class/7b/_roster')).code, 'forbidden', 'another\'s feed is refused it');
	await feed.close();
	same(Object.keys(list[0]), ['id', 'name', 'description_heading', 'alternate_link', 'teacher_group_email', 'course_group_email', 'teacher_folder', 'calendar_id'],
		'in the shape of the Learning Observer');
	const { json: rows } = await get(instance, '/webapi/courseroster/7b', teacher);
	same(rows.length, instance.students.length, 'and all who are in it');
	const row = rows.find((r) => r.user_id === instance.students[1].id);
	same(row.profile, { name: { given_name: 'Student', family_name: '2', full_name: 'Student 2' }, email_address: '', emailAddress: '',
		photo_url: '/auth/default-avatar.svg', photoUrl: '/auth/default-avatar.svg', external_ids: [] }, 'with both spellings');
	same(row.pseudonym, instance.students[1].pseudonym, 'and the pseudonym of the items');
	same((await get(instance, '/webapi/courselist/', other)).json.map((c) => c.id), ['8a'], 'another teacher has another');
	same((await get(instance, '/webapi/courseroster/8a/', other)).json.length, 1, 'with its roster, also with a slash behind it');
	const none = await get(instance, '/webapi/courseroster/nosuch', other);
	const foreign = await get(instance, '/webapi/courseroster/7b', other);
	same([none.status, none.text], [foreign.status, foreign.text], 'a class that there is not looks like one that is another\'s');
	for (const odd of ['', '%00', '..%2f7b', '7b%2f', 'x'.repeat(3000), '%37b'])
		same((await get(instance, `/webapi/courseroster/${odd}`, other)).status, 403, `no class is called "${odd.slice(0, 12)}"`);
	same((await get(instance, '/webapi/courselist/', kid)).json, [], 'a student has no class to look at');
	const menu = (await get(instance, '/webapi/course_dashboards', teacher)).json;
	ok(menu.some((m) => m.name === 'writing.time_on_task' && m.node === 'class/{course_id}/writing.time_on_task'), 'the menu for a class');
	same((await get(instance, '/webapi/course_dashboards', kid)).json, [], 'is empty for a student');
	ok((await get(instance, '/webapi/student_dashboards', kid)).json.some((m) => m.node === 'student/{pseudonym}/writing.time_on_task'), 'who has one of a student');
	const lines = instance.ctl('audit', '--events').split('\n').filter((l) => l.includes('class/7b/_roster') && l.includes('"door":"web"'));
	ok(lines.some((l) => l.includes('"read"')), 'the audit file says who saw the roster');
	ok(lines.some((l) => l.includes('"refused"') && l.includes('tom@')), 'and who was refused it, by which door');
}

async function sessions(instance) {
	const { teacher, tom } = instance.users;
	const cookie = await signIn(instance, teacher);
	const toms = await signIn(instance, tom);
	const feed = await new Feed(instance, cookie).opened;
	fs.writeFileSync(instance.at('teacher.password'), 'another-one\n');
	instance.writePassword('teacher');
	same((await get(instance, '/webapi/courselist/', cookie)).status, 200, 'a password changed in the file counts after a reload');
	reload(instance);
	same((await feed.closed).code, 1008, 'which ends the sessions of that user, and their feeds');
	same((await get(instance, '/auth/userinfo', cookie)).json, null, 'all of them');
	same((await get(instance, '/webapi/courselist/', toms)).status, 200, 'and nobody else\'s');
	same((await trySignIn(instance, teacher.jid, teacher.password)).json.status, 'unauthorized', 'the old password is no more');
	teacher.password = 'another-one';
	await signIn(instance, teacher);
	instance.ctl('passwd', '--delete', 'tom');
	fs.appendFileSync(instance.at('passwords'), 'this is no line\n');
	const refused = reloadRefused(instance);
	ok(refused.includes(`${instance.at('passwords')}:`) && refused.includes('name:hash'), 'a bad password file is refused with its line');
	same((await get(instance, '/webapi/courselist/', toms)).status, 200, 'and the old one stays');
	fs.writeFileSync(instance.at('passwords'), fs.readFileSync(instance.at('passwords'), 'utf8').replace('this is no line\n', ''));
	reload(instance);
	await waitFor(async () => (await get(instance, '/webapi/courselist/', toms)).status === 401, 'the end of who was removed');
	fs.chmodSync(instance.at('lectern.conf'), 0o640);
	fs.renameSync(instance.at('passwords'), instance.at('passwords.old'));
	instance.writePassword('teacher');
	const { mode, gid } = fs.statSync(instance.at('passwords'));
	same([(mode & 0o777).toString(8), gid], ['640', fs.statSync(instance.at('lectern.conf')).gid], 'a new password file can be read by the group of the configuration');
	fs.renameSync(instance.at('passwords.old'), instance.at('passwords'));
	const many = [];
	for (let i = 0; i < 17; i++) many.push(await signIn(instance, teacher));
	same((await get(instance, '/auth/userinfo', many[0])).json, null, 'a user\'s oldest session ends when there are too many');
	same((await get(instance, '/auth/userinfo', many[16])).json.user_id, teacher.jid, 'and the newest lives');
}

function reloadRefused(instance) {
	try {
		return JSON.stringify(reload(instance));
	} catch (e) {
		return e.stdout;
	}
}

async function limits(instance) {
	const kinds = [];
	for (let i = 0; i < 12; i++) kinds.push((await trySignIn(instance, instance.users.stranger.jid, 'guess')).status);
	same([kinds[0], kinds.at(-1)], [200, 429], 'wrong passwords of one user are limited');
	same((await trySignIn(instance, instance.users.stranger.jid, instance.users.stranger.password)).status, 429, 'also the right one then');
	const cookie = await signIn(instance, instance.users.teacher), other = await signIn(instance, instance.users.teacher);
	ok(cookie, 'and nobody else is');
	const answers = [];
	for (let i = 0; i < 200; i++) answers.push((await get(instance, '/webapi/courselist/', cookie)).status);
	same([answers.slice(0, 60).every((s) => s === 200), answers.at(-1)], [true, 429], 'so many requests of a session are answered, then fewer');
	same((await get(instance, '/webapi/course_dashboards', cookie)).status, 429, 'whatever they ask for');
	same((await get(instance, '/auth/userinfo', cookie)).status, 200, 'but for who one is');
	same((await get(instance, '/webapi/courselist/', other)).status, 200, 'another session goes on');
}

/** Raw bytes to the port, and what comes back. */
const raw = (instance, text) => new Promise((r) => {
	const s = net.connect(instance.ports.web, instance.host, () => s.write(text));
	let got = '';
	s.on('data', (d) => { got += d; });
	s.on('close', () => r(got));
	s.on('error', () => r(got));
	s.setTimeout(3000, () => s.destroy());
});

/** The head and the body in two segments, or head, half of the body, other people's requests, and the rest. */
async function inPieces(instance) {
	const { tom } = instance.users;
	const body = JSON.stringify({ username: tom.jid, password: tom.password });
	const before = await signIn(instance, tom), others = await signIn(instance, instance.users.teacher);
	const s = net.connect(instance.ports.web, instance.host);
	let got = '';
	s.on('data', (d) => { got += d; });
	const ended = new Promise((r) => { s.on('close', r); });
	s.write(`POST /auth/login/password HTTP/1.1\r\nHost: x\r\nCookie: ${before}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`);
	for (const piece of [body.slice(0, 20), body.slice(20)]) {
		await get(instance, '/auth/userinfo', others);
		s.write(piece);
	}
	await Promise.all(Array.from({ length: 20 }, () => get(instance, '/auth/userinfo', others)));
	await ended;
	ok(/^HTTP\/1\.1 200 [^]*Set-Cookie: lectern_session=[^]*"authorized"/.test(got), 'a sign-in that comes in pieces');
	same((await get(instance, '/auth/userinfo', before)).json, null, 'ends the session of its own cookie');
	same((await get(instance, '/auth/userinfo', others)).json?.user_id, instance.users.teacher.jid, 'and nobody else\'s');
}

const tried = (instance) => instance.ctl('audit', '--events').split('\n').filter((l) => l.includes('sign_in_refused')).length;

async function hostile(instance) {
	const post = async (o) => (await trySignIn(instance, 'x', 'y', o)).status;
	same(await post({ origin: 'https://evil.example' }), 403, 'a page of another origin may not sign in');
	same(await post({ origin: `http://${instance.host}:${instance.ports.web}` }), 200, 'our own may');
	same(await post({ headers: { 'X-Forwarded-For': '192.0.2.1' } }), 403, 'what a proxy passes on that nobody named is not of this machine');
	same(await post({ headers: { 'X-Real-IP': ['192.0.2.1', '192.0.2.2'] } }), 400, 'two addresses of a client are none');
	same((await trySignIn(instance, 'teacher\0x', instance.users.teacher.password)).json.status, 'unauthorized', 'a name with NUL is nobody\'s');
	same((await trySignIn(instance, 'x'.repeat(2000), 'x')).json.status, 'unauthorized', 'nor one that is too long');
	same(await post({ type: 'text/plain' }), 415, 'a body of another type');
	for (const body of ['', '[]', '{"username":1,"password":2}', '{"username":"x"}', '{', 'null', `{"a":${'['.repeat(4000)}`])
		same(await post({ body }), 400, `the body ${body.slice(0, 20)}`);
	for (const body of ['', 'username=x', 'username=x&username=y&password=z', '&&&=', 'password'])
		same(await post({ type: 'application/x-www-form-urlencoded', body }), 400, `the form ${body}`);
	same(await post({ body: JSON.stringify({ username: 'x', password: 'y'.repeat(9000) }) }), 413, 'a body that is too large');
	same((await ask(instance, 'POST', '/auth/userinfo', { body: '' })).status, 405, 'a method that is not there');
	same((await ask(instance, 'POST', '/auth/userinfo', { body: '' })).headers.allow, 'GET', 'with those that are');
	const head = `POST /auth/login/password HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n`;
	const status = async (text) => Number(/^HTTP\/1\.1 (\d+)/.exec(await raw(instance, text))?.[1]);
	same(await status(`${head}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`), 411, 'a body in chunks');
	same(await status(`${head}\r\n`), 411, 'a body without a length');
	same(await status(`${head}Content-Length: 99999999999999999999999\r\n\r\n`), 413, 'a length beyond all numbers');
	same(await status(`${head}Content-Length: -1\r\n\r\n`), 400, 'a length below');
	same(await status(`${head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`), 400, 'two lengths');
	ok(/^HTTP\/1\.1 405 .*\r\n\r\n$/s.test(await raw(instance, 'HEAD /auth/userinfo HTTP/1.1\r\nHost: x\r\n\r\n')), 'HEAD gets a head');
	ok(/^HTTP\/1\.1 404 .*\r\n\r\n$/s.test(await raw(instance, 'HEAD / HTTP/1.1\r\nHost: x\r\n\r\n')), 'wherever it asks');
	const before = tried(instance);
	const body = '{"username":"quick","password":"guess"}';
	await new Promise((r) => { const s = net.connect(instance.ports.web, instance.host, () => s.write(`${head}Content-Length: ${body.length}\r\n\r\n${body}`, () => setTimeout(() => { s.destroy(); r(); }, 300))); });
	await waitFor(() => tried(instance) > before, 'a try in the audit file');
	ok(true, 'who hangs up when no answer comes at once has tried, too');
	same(await raw(instance, `${head}Content-Length: 50\r\n\r\n{"user`).then((t) => t.slice(0, 12)), '', 'a body that never ends is waited for, for a while');
	same((await get(instance, '/health')).json, { status: 'ok' }, 'after all of that it lives');
}

async function everything(instance) {
	await people(instance);
	const teacher = await words(instance);
	const cookies = await everyRoute(instance);
	await courses(instance, teacher, cookies);
	await inPieces(instance);
	await hostile(instance);
	await sessions(instance);
	await limits(instance);
}

async function sqlite(instance) {
	const mode = (file) => (fs.statSync(instance.at(file)).mode & 0o777).toString(8);
	same(mode('users.db'), '600', 'a new database of users is as closed as the configuration');
	const { teacher, stranger } = instance.users;
	const cookie = await signIn(instance, teacher), other = await signIn(instance, stranger);
	const feed = await new Feed(instance, cookie).opened;
	instance.ctl('passwd', '--delete', 'teacher');
	same((await feed.closed).code, 1008, 'who is taken out of the database is signed out, without a reload');
	same((await get(instance, '/auth/userinfo', cookie)).json, null, 'everywhere');
	same((await get(instance, '/auth/userinfo', other)).json.user_id, stranger.jid, 'and nobody else is');
}

async function proxy(instance) {
	const { teacher } = instance.users;
	const via = (client, proto = 'https') => ({ 'X-Real-IP': client, 'X-Forwarded-Proto': proto });
	const post = (password, headers) => trySignIn(instance, 'teacher', password, { headers });
	same((await post(teacher.password, via('192.0.2.1', 'http'))).status, 403, 'behind a proxy a password is taken over https only');
	same((await post(teacher.password, {})).status, 403, 'and only when the proxy says so');
	const a = await post(teacher.password, via('192.0.2.1'));
	ok(/^__Host-.*; Secure$/.test(a.headers['set-cookie'][0]), 'then the cookie is Secure');
	const who = async (headers) => (await ask(instance, 'GET', '/auth/userinfo', { cookie: a.cookie, headers })).json?.user_id;
	same([await who(via('192.0.2.1')), await who(via('192.0.2.1', 'http'))], [teacher.jid, undefined], 'and counts over https');
	const guesses = Array.from({ length: 150 }, (_, i) => trySignIn(instance, `guess${i}`, 'x', { headers: via('192.0.2.9') }));
	const rights = Array.from({ length: 10 }, () => post(teacher.password, via('192.0.2.9')));
	const refused = (all) => all.filter((t) => t.status === 429).length;
	ok(refused(await Promise.all(guesses)) >= 20, 'many wrong passwords of one client, each of another user, are too many');
	ok(refused(await Promise.all(rights)) > 0, 'for that client, also when it knows the right one');
	const home = await Promise.all(Array.from({ length: 150 }, (_, i) => trySignIn(instance, `home${i}`, 'x', { headers: via(`2001:db8:0:1${(i + 16).toString(16)}::${i}`) })));
	ok(refused(home) >= 20, 'one home has one network of IPv6, whichever of its addresses it takes');
	same((await post(teacher.password, via('192.0.2.1'))).json, { status: 'authorized' }, 'and not for others behind the proxy');
	same((await post(teacher.password, { ...via('not an address'), Host: 'x' })).status, 200, 'an address that is none is not counted as one');
	const lines = instance.ctl('audit', '--events').split('\n').filter((l) => l.includes('signed_in'));
	ok(lines.some((l) => l.includes('"peer":"192.0.2.1"')), 'the audit file has the client\'s address');
}

async function overTls(instance) {
	const a = await trySignIn(instance, 'teacher', instance.users.teacher.password);
	ok(/^__Host-lectern_session=.*; Secure$/.test(a.headers['set-cookie'][0]), 'over TLS the cookie is Secure, and of this host alone');
	same((await get(instance, '/auth/userinfo', a.cookie.replace('__Host-', ''))).json, null, 'under a name that a neighbour may set it is none');
	same((await get(instance, '/auth/userinfo', a.cookie)).json.user_id, instance.users.teacher.jid, 'under its own it is');
	const own = `localhost:${instance.ports.web}`;
	same(await new Feed(instance, a.cookie, { origin: `http://${own}` }).opened.then(() => 101, (e) => e.status), 403, 'a page that came without TLS may not use it');
	const feed = await new Feed(instance, a.cookie, { origin: `https://${own}` }).opened;
	same((await feed.subscribe('class/7b/_roster')).op, 'subscribed', 'the feed works for one that came with it');
	await feed.message((m) => m.op === 'items', 'the roster');
	await feed.close();
	const out = await get(instance, '/auth/logout', a.cookie);
	ok(/^__Host-lectern_session=; .*Max-Age=0; Secure$/.test(out.headers['set-cookie'][0]), 'log-out takes the cookie back');
	same((await get(instance, '/auth/userinfo', a.cookie)).json, null, 'and ends the session');
}

await withEach('signin', [
	['file', { server: 'none', students: 5, authLines: '  admins = { "boss@school.test" }', test: everything }],
	['sqlite', { server: 'none', students: 1, auth: ['sqlite'], test: sqlite }],
	['proxy', { server: 'none', students: 1, listen: '  trusted_proxies = { "127.0.0.1" }', test: proxy }],
	['tls', { server: 'none', students: 1, tls: true, test: overTls }],
], (instance) => instance.o.test(instance));
