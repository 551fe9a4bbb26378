"""Real Kafka, Cassandra and Triton as local processes, for machines without Docker.

`machine` says what must be there, `downloads` fetches the servers once, `ports` gives each its own; `kafka`,
`cassandra` and `triton` say how each is started and asked whether it is well; `process` keeps track of pids.
`servers` puts them together into up and down, `status` says what is unwell and what to do about it.
"""
