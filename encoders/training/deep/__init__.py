"""Deep models of who chooses what: a log of events in, trained networks out.

a log of events, split by time            log.py, content.py
  -> clicks with what was known by then   examples.py
  -> a network                            towers.py, rankers.py
  -> trained                              trainer.py, task.py
  -> judged, on clicks that came later    judge.py
  -> exported, for Triton to serve        export.py
"""
