// One call of Cliq's custom email API with `fetch`: the status to stderr, the body to stdout.
// CLIQ_ORIGIN, CLIQ_TOKEN, METHOD, and BODY (may be empty) come from the environment.
const { CLIQ_ORIGIN, CLIQ_TOKEN, METHOD, BODY } = process.env;
const answer = await fetch(`${CLIQ_ORIGIN}/api/v2/mailconfigurations/global`, {
  method: METHOD,
  headers: { Authorization: `Bearer ${CLIQ_TOKEN}`, "content-type": "application/json" },
  body: BODY || undefined,
});
process.stderr.write(String(answer.status));
process.stdout.write(await answer.text());
