"""Chaos: kill anything at any moment while events stream, then hold the whole store against what was published.

`plan` says what happens when, `traffic` what is published, `servers` and `fleet` are what gets hurt, `run` goes
through the plan, `truth` and `verify` compare, `report` tells.
"""
