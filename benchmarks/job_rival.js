// The whole job by Bolt for JavaScript: `node job_rival.js URL FOLDER`, with the secret in the
// environment. URL is the far end, FOLDER is where `npm install --prefix FOLDER @slack/bolt` was run.

const path = require('node:path');
const { createRequire } = require('node:module');

const [farEnd, folder] = process.argv.slice(2);
const { App } = createRequire(path.resolve(folder, 'package.json'))('@slack/bolt');

const app = new App({
  token: 'xoxb-benchmark',
  signingSecret: process.env.SLACK_SIGNING_SECRET,
  clientOptions: { slackApiUrl: `${farEnd}/api/` },
  logLevel: 'error',
});

app.command('/mailcfg', async ({ ack, respond }) => {
  await ack('Reading…');
  const answer = await fetch(`${farEnd}/api/v2/mailconfigurations/global`, {
    headers: { Authorization: 'Zoho-oauthtoken 1000.benchmark.token' },
  });
  const live = (await answer.json()).data;
  await respond(`${live.name} <${live.email_id}>`);
});

app.start({ port: 0, host: '127.0.0.1' }).then((server) => {
  console.log(`http://127.0.0.1:${server.address().port}/slack/events`);
});
