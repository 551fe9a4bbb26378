"""What a worker costs: the full path beside an empty Faust agent, without lists, and without Faust; its parts beside
the bare libraries.

servers.py     servers and a backlog of their own, the same for every variant
variants.py    one variant in one process, and what it measures of itself
latency.py     event-to-list latency under open-loop load
echo.py        the same load, answered at once
ceilings.py    users, nearest items and vectors, ours beside the bare libraries
steadiness.py  how steady the machine is by itself
growth.py      starts, lone events and load with ever more users and items stored
population.py  those users and items
freshness.py   how soon uploads are listed, and found
run.py         all but growth, in turn
report.py      table, JSON, Markdown
plots.py       pictures
"""
