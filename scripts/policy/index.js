/* eslint-disable @typescript-eslint/no-require-imports, no-undef */
// What Pulumi starts, as it lies here; the policies themselves are compiled with the kit.
const { PolicyPack } = require('@pulumi/policy');
const { packPolicies } = require('../../bin/scripts/policy/pack');

new PolicyPack('sitewright', { policies: packPolicies() });
