// Solves a challenge that comes on standard input as JSON, with the ALTCHA library, and prints the payload that the
// widget would put into its form. The argument says as which widget: 1 and 2 solve it as it is, 3 turns it into the
// parameters of its own protocol first and the solution back.
import { webcrypto } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { solveChallenge as solveFirst } from 'altcha-lib/v1';
import { solveChallenge } from 'altcha-lib';
import { deriveKey } from 'altcha-lib/algorithms/sha';

globalThis.crypto ??= webcrypto; // Node 18
const challenge = JSON.parse(readFileSync(0, 'utf8'));
let number;
if (process.argv[2] === '3') {
    const expires = new URLSearchParams(challenge.salt.split('?')[1]).get('expires');
    const solution = await solveChallenge({
        challenge: {
            parameters: {
                algorithm: challenge.algorithm,
                cost: 1,
                expiresAt: parseInt(expires, 10),
                keyLength: 32,
                keyPrefix: challenge.challenge,
                nonce: Buffer.from(challenge.salt, 'utf8').toString('hex'),
                salt: '',
            },
            signature: challenge.signature,
        },
        counterMode: 'string',
        deriveKey,
    });
    number = solution.counter;
} else {
    const solution = await solveFirst(challenge.challenge, challenge.salt, challenge.algorithm, challenge.maxnumber).promise;
    number = solution.number;
}
const { algorithm, salt, signature } = challenge;
console.log(btoa(JSON.stringify({ algorithm, challenge: challenge.challenge, number, salt, signature, took: 1 })));
