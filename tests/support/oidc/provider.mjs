// A provider of OpenID Connect for the tests: node provider.mjs MODULES ACCOUNTS PORT REDIRECT_URI AFTER_LOGOUT.
// ACCOUNTS is a JSON file, {subject: {preferred_username, groups}}, read at each use. Passwords are not checked.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [modules, accounts, port, redirectUri, afterLogout] = process.argv.slice(2);
const { Provider } = await import(pathToFileURL(`${modules}/oidc-provider/lib/index.js`));

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{
    client_id: "rainbow",
    client_secret: "only-for-the-tests",
    token_endpoint_auth_method: "client_secret_post",
    redirect_uris: [redirectUri],
    post_logout_redirect_uris: [afterLogout],
  }],
  claims: { openid: ["sub"], profile: ["preferred_username"], groups: ["groups"] },
  scopes: ["openid", "profile", "groups"],
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  cookies: { keys: ["only-for-the-tests"] },
  findAccount(context, subject) {
    const known = JSON.parse(readFileSync(accounts, "utf8"))[subject];
    return known && { accountId: subject, claims: async () => ({ sub: subject, ...known }) };
  },
  async loadExistingGrant(context) {
    const grant = new context.oidc.provider.Grant({
      clientId: context.oidc.client.clientId,
      accountId: context.oidc.session.accountId,
    });
    grant.addOIDCScope("openid profile groups");
    await grant.save();
    return grant;
  },
});
provider.listen(Number(port), "127.0.0.1", () => console.log("listening"));
