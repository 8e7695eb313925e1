"""The sandbox in a browser: two people's Slack side by side, a checklist, and things to break.

`server` is its door. What people do goes to the emulated workspace's own methods, what they see
comes from there; the page adds nothing to either.
"""
