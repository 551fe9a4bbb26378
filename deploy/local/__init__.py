"""Real Kafka, Cassandra and Triton as local processes, for machines without Docker.

`downloads` fetches them once, `kafka`, `cassandra` and `triton` say how each is started and asked whether it is well,
`process` keeps track of pids, and `servers` puts them together into up, down and status.
"""
