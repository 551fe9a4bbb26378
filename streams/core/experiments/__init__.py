"""Experiments: who sees lists made how, what came of them, and what that proves.

plan.py          what a plan file says, checked
assignment.py    a user's arms, by hash alone
interleaving.py  one list out of two
attribution.py   a click, and the list that it came from
tally.py         what happened, summed up by user
sequential.py    tests that hold however often somebody looks
analysis.py      the report of an experiment
simulation.py    whether all that keeps its promises
"""
