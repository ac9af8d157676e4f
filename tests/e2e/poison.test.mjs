// SPDX-License-Identifier: MIT
// poison: what no XML can hold and what a parser might trip over, in a student's
// text and in a reader's stanzas, through each server. One bad byte would end
// the component's stream and lose what is in flight: it must never get so far.
import { Reader } from './lib/reader.mjs';
import { ok, same, waitFor, withServers } from './lib/rig.mjs';
import { Student, save } from '../../tools/class.mjs';

const REDUCER = 'writing.last_document';
const DOMAIN_CHARS = [0xad, 0x202e, 0x200b, 0x2028, 0x2029, 0xfeff, 0xfdd0, 0xfdef, 0xfffd, 0xfffe, 0xffff, 0x1fffe, 0x1ffff, 0x10fffe, 0x10ffff, 0x1f600];

/** Each as a piece of JSON text, so that lone surrogates can be written, too. */
function texts() {
	const escape = (n) => `\\u${n.toString(16).padStart(4, '0')}`;
	const controls = [...Array(0x20).keys(), ...Array.from({ length: 0x21 }, (_, i) => 0x7f + i)].map(escape);
	const characters = DOMAIN_CHARS.map((c) => String.fromCodePoint(c));
	const surrogates = ['\\ud800', '\\udfff', '\\udc00\\ud800', '\\ud83d', 'a\\ud800b'];
	const markup = ['<', '>', '&', "'", '\\"', ']]>', '<!--', '-->', '<![CDATA[', '&#1;', '&#x0;', '&lol;', '<?xml version=\\"1.0\\"?>', '<!DOCTYPE a [<!ENTITY b \\"c\\">]>',
		'</stream:stream>', "</json></payload></item><item id='x'>", '\\\\u0000', '%00', '`$(id)`', '{\\"seq\\":9}'];
	return [...controls, ...characters, ...surrogates, ...markup];
}

/** Stanzas that a client may really send through its server. */
function stanzas(service, victim) {
	const items = (node) => `<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='${node}'/></pubsub>`;
	const iq = (id, inside, more = '') => `<iq xmlns='jabber:client' type='get' id='${id}' to='${service}'${more}>${inside}</iq>`;
	const nested = (n) => '<a>'.repeat(n) + '</a>'.repeat(n);
	const attributes = (n) => Array.from({ length: n }, (_, i) => ` a${i}='1'`).join('');
	return {
		'forged from in a namespace': iq('p1', items(`class/7b/${REDUCER}`), ` xmlns:x='urn:x' x:from='${victim}' x:type='set' x:id='other'`),
		'depth 40': iq('p2', `<query xmlns='urn:x'>${nested(40)}</query>`),
		'depth 2,000': iq('p3', `<query xmlns='urn:x'>${nested(2000)}</query>`),
		'70 attributes': iq('p4', `<query xmlns='urn:x'${attributes(70)}/>`),
		'100 kB of text': iq('p5', `<query xmlns='urn:x'>${'x'.repeat(100_000)}</query>`),
		'20 kB of &lt;': iq('p6', `<query xmlns='urn:x'>${'&lt;'.repeat(5000)}</query>`),
		'a node name of 100 kB': iq('p7', items('x'.repeat(100_000))),
		'a node name with markup': iq('p8', items('class/&lt;&amp;&apos;&quot;]]&gt;/x')),
		'CDATA': iq('p9', '<query xmlns="urn:x"><![CDATA[<&]]></query>'),
		'no child': iq('p10', ''),
		'two children': iq('p11', `${items('a')}${items('b')}`),
	};
}

await withServers('poison', { students: 3, logLevel: 'notice' }, async (instance) => {
	const service = instance.components.writing;
	const node = `class/${instance.class}/${REDUCER}`;
	const { pseudonym, user_id } = instance.students[0];
	const teacher = await new Reader(instance, instance.users.teacher).start();
	const stranger = await new Reader(instance, instance.users.stranger).start();
	await teacher.presence(service);
	await teacher.subscribe(service, node);
	const s = new Student(instance.events, user_id).connect();
	await waitFor(() => s.live, 'the student');

	// The document's id is the text of a student that comes out whole at the other end.
	const wrong = [];
	for (const text of texts()) {
		const seq = ++s.seq;
		s.socket.send(JSON.stringify({ ...save('a', 1, 'DOC', 1, Date.now()), seq }).replaceAll('DOC', `d${text}`));
		const want = JSON.parse(`"d${text}"`).replace(/\p{Surrogate}/gu, '\ufffd'); // no Unicode text can hold half a pair
		const got = await teacher.until(node, pseudonym, (p) => p.state.document_id === want, 20_000).catch(() => teacher.item(node, pseudonym));
		if (got?.state.document_id !== want) wrong.push([text, got]);
	}
	same(wrong, [], `${texts().length} texts arrive as the student wrote them`);
	const up = () => instance.status().xmpp[0];
	same([up().state, up().connects], ['up', 1], 'on one stream');

	for (const [what, text] of Object.entries(stanzas(service, instance.users.teacher.jid))) {
		stranger.client.socket ? await stranger.client.write(text).catch(() => {}) : await stranger.client.start().catch(() => {});
		const alive = await teacher.retrieve(service, node).then(() => true, () => false);
		ok(alive && up().connects === 1, `${what}: the service goes on`);
	}
	ok(stranger.received.length === 0, 'and the stranger got nothing');
	s.stop();
	await teacher.stop();
	await stranger.stop();
});
