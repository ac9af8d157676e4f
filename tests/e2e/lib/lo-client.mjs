// SPDX-License-Identifier: MIT
// lo-client: the unmodified Learning Observer client library in a process of its
// own: node lo-client.mjs URL USER_ID EVENTS
import * as loEvent from 'lo_event';
import * as debug from 'lo_event/lo_event/debugLog.js';
import { websocketLogger } from 'lo_event/lo_event/websocketLogger.js';

const [url, user, events] = process.argv.slice(2);

loEvent.init('org.mitros.writing_analytics', '1.0.0.2', [websocketLogger(url)], debug.LEVEL.NONE);
loEvent.setFieldSet([{ user_id: user }]);
loEvent.go();
for (let i = 1; i <= Number(events); i++) {
	loEvent.logEvent('keystroke', {
		event_type: 'keystroke', keystroke: { key: 'a', type: 'keydown' },
		object: { type: 'http://schema.learning-observer.org/writing-observer/', title: 'Essay', id: `doc-${user}`,
			url: `https://docs.google.com/document/d/doc-${user}/edit` },
	});
}
process.on('SIGTERM', () => process.exit(0));
setInterval(() => {}, 1000);
