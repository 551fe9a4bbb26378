"""Faults on purpose: workers and servers are killed and stopped while events flow, and afterwards nothing may be amiss.

plan.py       which fault strikes when, from a seed
fleet.py      workers and servers that can be killed, stopped and started again
load.py       real activity at a steady pace, late uploads and repeats among it
answers.py    which events have been answered with a list, and which wait
run.py        all of it, and `anabranch verify` in the end
report.py     recovery times for each kind of fault
"""
