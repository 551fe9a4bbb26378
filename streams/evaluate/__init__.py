"""How good the lists are, on a recorded log of events, beside the baselines of `core/baselines`.

log.py         the log: MovieLens, or a file of events
served.py      replayed through the running system: the lists it published
offline.py     replayed in this process: the recommender with other settings, and the baselines
comparison.py  all of them side by side, and whether the differences are luck
plots.py       pictures
report.py      tables for the terminal, a page of HTML
attack.py      floods of clicks, with and without a defence
tradeoff.py    what diversity, calibration and limits of exposure cost and give
fidelity.py    explanations, beside the log replayed without the clicks that they name
run.py         `anabranch evaluate`
"""
