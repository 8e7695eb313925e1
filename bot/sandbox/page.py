"""The plain page at the sandbox's address: what is running, and how to drive it."""

from __future__ import annotations

from html import escape

from bot.sandbox import world

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1rem;
       color: #1d1c1d; background: #fff; }
code, pre { font: 14px/1.5 ui-monospace, monospace; background: #f4f4f4; border-radius: 4px; }
code { padding: .1rem .3rem; } pre { padding: 1rem; overflow-x: auto; }
table { border-collapse: collapse; } td, th { padding: .3rem 1rem .3rem 0; text-align: left; }
@media (prefers-color-scheme: dark) {
  body { color: #d1d2d3; background: #1a1d21; } code, pre { background: #2a2d31; } }
"""


def front_page(slack_url: str, control_token: str, cliq_url: str, dns_address: str) -> str:
    """The page as HTML; everything in it is escaped."""
    people = "".join(
        f"<tr><td>{escape(p.real_name)}</td><td><code>{p.id}</code></td><td>{_role(p.id)}</td></tr>"
        for p in world.PEOPLE
    )
    command = (
        f"curl -s {slack_url}/__control/command -H 'Authorization: Bearer {control_token}' \\\n"
        f"""  -d '{{"user": "{world.ALICE.id}", "text": "show"}}'"""
    )
    sees = (
        f"curl -s '{slack_url}/__control/sees?user={world.ALICE.id}"
        f"&channel={world.ADMIN_CHANNEL}' \\\n  -H 'Authorization: Bearer {control_token}'"
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>mailcfg sandbox</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>
<body><h1>mailcfg sandbox</h1>
<p>The real bot runs here against an emulated Slack workspace, an emulated Zoho Cliq and a DNS
server. It is three weeks after the first approved change.</p>
<h2>People</h2><table>{people}</table>
<h2>What runs where</h2><table>
<tr><td>Slack</td><td><code>{escape(slack_url)}</code></td></tr>
<tr><td>Zoho Cliq and accounts</td><td><code>{escape(cliq_url)}</code></td></tr>
<tr><td>DNS, zone acme.example</td><td><code>{escape(dns_address)}</code></td></tr></table>
<h2>Drive it</h2><p>Let Alice type <code>/mailcfg show</code>:</p><pre>{escape(command)}</pre>
<p>See what she sees in #mail-admin:</p><pre>{escape(sees)}</pre>
<p>Or watch the whole story in a terminal: <code>mailcfg sandbox --tour</code></p>
</body></html>"""


def _role(user: str) -> str:
    if user in world.REQUESTERS:
        return "admin, asks for changes"
    return "approver" if user in world.APPROVERS else "guest, may do nothing"
