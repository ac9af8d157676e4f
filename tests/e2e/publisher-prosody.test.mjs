// SPDX-License-Identifier: MIT
// publisher-prosody: states at Prosody's own PubSub service.
import { publisherTest } from './publisher.mjs';

await publisherTest('prosody');
