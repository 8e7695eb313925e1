"""Everything that people read in Slack: pure functions from values to blocks and text."""
