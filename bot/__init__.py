"""mailcfg: change control for an organisation's e-mail sender, in Slack.

Zoho Cliq sends its notification mail from a custom address that one API call can break. This
package is the bot that lets a change to it through only after other people approved it, applies it
exactly once and proves it, and then watches that the live configuration and its DKIM record stay
what was approved. `app.build` puts it together; `python -m bot` is its command line.
"""

__version__ = "0.1.0"
