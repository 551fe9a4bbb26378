"""Anabranch: events in, refreshed recommendation lists out.

The path of the data, and where to read about each step:

    people click, view, upload, tell of themselves      events.py, producer.py, topics.py
      -> Kafka -> one Faust agent a topic               agents.py, app.py
      -> a micro-batch: decode, or dead-letter          pipeline.py
      -> uploads: Triton makes vectors, fusion one      adapters/triton.py, core/fusion.py, ../encoders
      -> users: taste and history, in Cassandra         core/taste.py, core/user.py, adapters/cassandra.py
      -> memory shared by all users, learned online     core/memory, adapters/kafka.py (Follower)
      -> candidates, ranked                             core/recommender.py, core/ranking.py
      -> a refreshed list to `recommendations`          consumer.py

`core` is pure: numbers in, numbers out. `adapters` hold the clients, each behind a Protocol of `ports.py`.
"""
