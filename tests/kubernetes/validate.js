/*
 * Validates a Job manifest against the schema of the Kubernetes API (npm: kubernetes-models carries it,
 * compiled; js-yaml reads the manifest).
 *
 *     NODE_PATH=.../node_modules node validate.js MANIFEST
 *
 * The schema allows members it does not know, so a misspelt one would pass.  A compiled schema reads every
 * member it knows of what it is given; what it never read of the manifest, it does not know.
 */
'use strict';
const fs = require('fs');
const path = require('path');
const yaml = require('js-yaml');
/* By its path: the package exports only classes, which copy, and so read, all they are given. */
const schemas = path.join(path.dirname(require.resolve('kubernetes-models')), '_schemas');
const { validate } = require(path.join(schemas, 'IoK8sApiBatchV1Job.js'));

const read = new Set();

function watched(value, at) {
	if (value === null || typeof value !== 'object') return value;
	return new Proxy(value, {
		get(target, key) {
			if (typeof key === 'symbol') return target[key];
			read.add(`${at}/${key}`);
			return watched(target[key], `${at}/${key}`);
		},
	});
}

function unknown(value, at) {
	if (value === null || typeof value !== 'object') return [];
	return Object.keys(value).flatMap((key) => {
		const below = `${at}/${key}`;
		return read.has(below) ? unknown(value[key], below) : [`${below} is no member the API knows`];
	});
}

const manifest = yaml.load(fs.readFileSync(process.argv[2], 'utf8'));
const problems = [];
if (manifest.apiVersion !== 'batch/v1' || manifest.kind !== 'Job') problems.push('not a batch/v1 Job');
if (!validate(watched(manifest, '')))
	problems.push(...validate.errors.map((e) => `${e.instancePath || '/'} ${e.message || JSON.stringify(e.params)}`));
problems.push(...unknown(manifest, ''));
for (const problem of problems) console.error(`${process.argv[2]}: ${problem}`);
process.exit(problems.length ? 1 : 0);
