// SPDX-License-Identifier: MIT
// publisher-ejabberd: states at ejabberd's own PubSub service.
import { publisherTest } from './publisher.mjs';

await publisherTest('ejabberd');
