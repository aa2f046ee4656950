// A real OpenID Connect provider on loopback, and a person who signs in there: the authorization code flow with PKCE and
// nonce, through the provider's own forms. Prints one JSON object: issuer, key set, and the ID tokens that the portal got.
//
//   node sign_in.mjs ALGORITHM NONCE LOGIN ...
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const [algorithm, nonce, ...logins] = process.argv.slice(2);
const server = createServer();
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const issuer = `http://127.0.0.1:${server.address().port}`;
const redirect = 'http://127.0.0.1:1/callback';

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'csm-portal', client_secret: randomBytes(32).toString('hex'), redirect_uris: [redirect],
    id_token_signed_response_alg: algorithm, application_type: 'native', token_endpoint_auth_method: 'client_secret_post',
  }],
  jwks: { keys: await keys() },
  enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256'] },
  conformIdTokenClaims: false,
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'locale'] },
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@small.example`, email_verified: true, name: `${id} of the provider`, locale: 'de' }),
  }),
});
server.on('request', provider.callback());

async function keys() {
  const { generateKeyPair, exportJWK } = await import('jose');
  return Promise.all([['RS256', 'rsa'], ['ES256', 'ec']].map(async ([alg, kid]) => ({
    ...await exportJWK((await generateKeyPair(alg, { extractable: true })).privateKey), kid, use: 'sig',
  })));
}

// What a browser does: keeps cookies, follows redirects one at a time.
function browser() {
  const cookies = new Map();
  return async (url, form) => {
    const answer = await fetch(new URL(url, issuer), {
      redirect: 'manual',
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
      ...(form && { method: 'POST', body: new URLSearchParams(form) }),
    });
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      cookies.set(name, value);
    }
    return { location: answer.headers.get('location'), text: await answer.text(), status: answer.status };
  };
}

async function idToken(login) {
  const visit = browser();
  const verifier = randomBytes(32).toString('base64url');
  const client = await provider.Client.find('csm-portal');
  let answer = await visit(`/auth?${new URLSearchParams({
    client_id: 'csm-portal', response_type: 'code', redirect_uri: redirect, scope: 'openid email profile', nonce,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
  })}`);
  while (answer.location !== null && !answer.location.startsWith(redirect)) {
    const at = answer.location;
    answer = await visit(at);
    if (answer.location === null) {
      const prompt = /name="prompt" value="(\w+)"/.exec(answer.text)?.[1];
      if (prompt === undefined) throw new Error(`no form at ${at}: ${answer.status} ${answer.text}`);
      answer = await visit(at, { prompt, ...(prompt === 'login' && { login, password: 'any' }) });
    }
  }
  if (answer.location === null) throw new Error(`${answer.status} ${answer.text}`);
  const code = new URL(answer.location).searchParams.get('code');
  const got = await visit('/token', {
    grant_type: 'authorization_code', code, redirect_uri: redirect, code_verifier: verifier, client_id: 'csm-portal', client_secret: client.clientSecret,
  });
  const { id_token: token } = JSON.parse(got.text);
  if (token === undefined) throw new Error(got.text);
  return token;
}

const discovery = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json();
const jwks = await (await fetch(discovery.jwks_uri)).json();
const tokens = {};
for (const login of logins) tokens[login] = await idToken(login);
console.log(JSON.stringify({ issuer: discovery.issuer, jwks, tokens }));
server.close();
process.exit(0);
