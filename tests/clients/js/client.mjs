// SPDX-License-Identifier: Apache-2.0
// The steps of a scenario file for the JavaScript SDK; clients/scenario.py says what a step is.
// usage: client.mjs SCENARIO ENDPOINT; keys and region come from the environment, as the SDK has it.
import {readFileSync} from "node:fs";
import * as ec2 from "@aws-sdk/client-ec2";

const [file, endpoint] = process.argv.slice(2);
const client = new ec2.EC2Client({endpoint, maxAttempts: 1});
const names = {client: "js"};

function filled(value) {
    if (Array.isArray(value)) return value.map(filled);
    if (value !== null && typeof value === "object")
        return Object.fromEntries(Object.entries(value).map(([k, v]) => [filled(k), filled(v)]));
    if (typeof value !== "string") return value;
    const whole = value.match(/^\$\{(\w+)\}$/);
    return whole ? names[whole[1]] : value.replace(/\$\{(\w+)\}/g, (_, name) => names[name]);
}

// Where what was found is not what was expected; undefined when it is.
function difference(expected, found, path) {
    if (expected === "*" && found !== undefined) return undefined;
    if (expected === null && found === undefined) return undefined;
    if (Array.isArray(expected) && Array.isArray(found) && expected.length === found.length) {
        return expected.map((e, i) => difference(e, found[i], `${path}.${i}`)).find(Boolean);
    }
    if (!Array.isArray(expected) && expected && typeof expected === "object" && found && typeof found === "object") {
        return Object.entries(expected).map(([k, e]) => difference(e, found[k], `${path}.${k}`)).find(Boolean);
    }
    return expected === found ? undefined
        : `${path}: ${JSON.stringify(found)} rather than ${JSON.stringify(expected)}`;
}

const at = (reply, path) => path.split(".").reduce((value, part) => value[part], reply);

// Does a step; gives what is wrong, or undefined.
async function fault(step) {
    let reply;
    try {
        reply = await client.send(new ec2[`${step.call}Command`](filled(step.input ?? {})));
    } catch (error) {
        if (error.name !== step.error) return `${error.name}: ${error.message}`;
        const status = error.$metadata.httpStatusCode;
        if (status !== (step.status ?? 400)) return `the status is ${status}`;
        const absent = filled(step.message ?? []).find(word => !error.message.includes(word));
        return absent && `${absent} is not in the message ${error.message}`;
    }
    if (step.error) return `succeeded rather than to fail with ${step.error}`;
    const wrong = difference(filled(step.expect ?? {}), reply, step.call);
    if (wrong) return wrong;
    for (const [name, path] of Object.entries(step.keep ?? {})) names[filled(name)] = at(reply, path);
    return undefined;
}

let taken = 0, faults = 0;
console.log(`@aws-sdk/client-ec2, ${process.version}`);
for (const group of JSON.parse(readFileSync(file, "utf8")).groups) {
    if (!group.clients.includes("js")) continue;
    for (const step of group.steps) {
        const title = `${group.name}: ${step.call}`;
        if (!(step.clients ?? ["js"]).includes("js")) {
            console.log(`left out: ${title}: js has no such operation or member`);
            continue;
        }
        for (names.n = 1; names.n <= (step.repeat ?? 1); ++names.n) {
            const wrong = await fault(step);
            ++taken;
            if (wrong) ++faults;
            console.log(`${wrong ? "FAILED" : "ok"}: ${title}${step.error ? " " + step.error : ""}` +
                        (wrong ? `: ${wrong}` : ""));
        }
    }
}
console.log(`js: ${taken} steps, ${faults} failed`);
process.exitCode = taken && !faults ? 0 : 1;
