// SPDX-License-Identifier: MIT
// paging: reading a class of a thousand through a real server, page by page, in
// both directions, the most recent ones, and some by their ids.
import { Reader, xml } from './lib/reader.mjs';
import { ok, same, withServers } from './lib/rig.mjs';

const STUDENTS = 1000;
const PAGE = 100;
const SOME = 5;
const SERVICE = 'lectern.school.test';
const PUBSUB = 'http://jabber.org/protocol/pubsub';
const RSM = 'http://jabber.org/protocol/rsm';

/** One answer: {ids, first, last, count, index}. */
async function page(reader, node, { attrs = {}, ids = [], set } = {}) {
	const items = xml('items', { node, ...attrs }, ...ids.map((id) => xml('item', { id })));
	const asked = set ? [xml('set', { xmlns: RSM }, ...Object.entries(set).map(([name, text]) => xml(name, {}, String(text))))] : [];
	const answer = (await reader.iq('get', SERVICE, xml('pubsub', { xmlns: PUBSUB }, items, ...asked))).getChild('pubsub');
	const rsm = answer.getChild('set', RSM);
	return {
		ids: answer.getChild('items').getChildren('item').map((i) => i.attrs.id),
		first: rsm?.getChildText('first'), last: rsm?.getChildText('last'), count: Number(rsm?.getChildText('count')),
		index: Number(rsm?.getChild('first')?.attrs.index),
	};
}

await withServers('paging', { students: STUDENTS }, async (instance) => {
	const reader = await new Reader(instance, instance.users.teacher, 'desk').start();
	const node = `class/${instance.class}/_roster`;
	const all = instance.students.map((s) => s.pseudonym).sort();

	const forwards = [];
	let fit = true;
	for (let after; forwards.length < STUDENTS;) {
		const p = await page(reader, node, { set: { max: PAGE, ...(after && { after }) } });
		fit &&= p.ids.length === PAGE && p.count === STUDENTS && p.index === forwards.length && p.first === p.ids[0] && p.last === p.ids.at(-1);
		if (p.ids.length === 0) break;
		forwards.push(...p.ids);
		after = p.last;
	}
	ok(fit, 'each page has its size and says where it is');
	same(forwards, all, 'page by page each item comes once, in order');
	same((await page(reader, node, { set: { max: PAGE, after: all.at(-1) } })).ids, [], 'and then nothing');

	const backwards = [];
	for (let before = ''; backwards.length < STUDENTS;) {
		const p = await page(reader, node, { set: { max: PAGE, before } });
		if (p.ids.length === 0) break;
		backwards.unshift(...p.ids);
		before = p.first;
	}
	same(backwards, all, 'and backwards as well');

	const whole = [];
	for (let after; whole.length < STUDENTS;) {
		const p = await page(reader, node, after && { set: { after } });
		if (p.ids.length === 0) break;
		whole.push(...p.ids);
		after = p.last;
	}
	same(whole, all, 'also when nobody says how large a page may be');

	const newest = await page(reader, node, { attrs: { max_items: String(SOME) } });
	ok(newest.ids.length === SOME && newest.ids.every((id) => all.includes(id)), 'as many of the most recent ones as are asked for');
	const some = all.filter((_, i) => i % 150 === 7);
	same((await page(reader, node, { ids: [...some].reverse() })).ids, some, 'those whose ids are named');
	same((await reader.discoItems(SERVICE, node)).every((i) => all.includes(i.name)), true, 'their ids alone');
	await reader.stop();
});
