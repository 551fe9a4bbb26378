"""What all users' past teaches: one file an expert, each learning event by event within fixed memory.

An expert proposes a few hundred items with scores; `ranking` learns online how far to trust each.
"""
