// One call of Cliq's custom email API with Node's `request`, which sends a written body in chunks:
// the status to stderr, the body to stdout. `http` has the interface of `https`.
// CLIQ_ORIGIN, CLIQ_TOKEN, METHOD, and BODY (may be empty) come from the environment.
import http from "node:http";
import https from "node:https";

const { CLIQ_ORIGIN, CLIQ_TOKEN, METHOD, BODY } = process.env;
const origin = new URL(CLIQ_ORIGIN);
const { request } = origin.protocol === "https:" ? https : http;
const call = request(
  {
    method: METHOD,
    hostname: origin.hostname,
    port: origin.port,
    path: "/api/v2/mailconfigurations/global",
    headers: { Authorization: `Bearer ${CLIQ_TOKEN}`, "content-type": "application/json" },
  },
  (answer) => {
    process.stderr.write(String(answer.statusCode));
    answer.pipe(process.stdout);
  },
);
if (BODY) {
  call.write(BODY);
}
call.end();
