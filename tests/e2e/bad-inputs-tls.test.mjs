// SPDX-License-Identifier: MIT
// bad inputs over TLS: the same rows, and a hundred quiet clients that keep
// their connections for longer than any handshake may take.
import { playStrictly } from './lib/strict.mjs';

await playStrictly('bad-inputs-tls', { tls: true });
