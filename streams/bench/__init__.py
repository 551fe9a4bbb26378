"""What a worker costs: the full path beside an empty Faust agent, the path without lists, and without Faust.

servers.py    servers and a backlog of their own, the same for every variant
variants.py   one variant in one process, and what it measures of itself
latency.py    event-to-list latency under open-loop load
growth.py     starts, lone events and load with ever more users and items stored; how soon uploads are listed
run.py        all but that, in turn
report.py     table, JSON, Markdown
"""
