// SPDX-License-Identifier: MIT
// bad inputs: every row of bad-inputs.json, on an instance that is as strict as
// it can be and has short time limits.
import { playStrictly } from './lib/strict.mjs';

await playStrictly('bad-inputs', {});
