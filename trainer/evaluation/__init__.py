"""How recommendations are judged: protocol, metrics, baselines, and what the running service answers.

Runs in the main environment and needs nothing of the trainer's.
"""
