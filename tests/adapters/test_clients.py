"""Whom the clients ask."""

import pytest
from cassandra.metadata import KeyspaceMetadata
from cassandra.policies import SimpleConvictionPolicy
from cassandra.pool import Host
from cassandra.query import SimpleStatement

from streams.adapters import clients
from streams.settings import Cassandra

KEYSPACE = "shop"
HERE, THERE = "here", "there"


def nodes(*datacenters: str) -> list[Host]:
    """Nodes that are up, one in each of these."""
    found = []
    for number, datacenter in enumerate(datacenters, 1):
        host = Host(f"127.0.0.{number}", SimpleConvictionPolicy)
        host.set_location_info(datacenter, "a rack")
        host.set_up()
        found.append(host)
    return found


@pytest.mark.parametrize("datacenter", [None, HERE])
def test_the_first_node_that_is_asked_for_a_row_is_one_that_has_it(datacenter: str | None) -> None:
    hosts = nodes(*[HERE] * 4)
    cluster = clients.cassandra(Cassandra(datacenter=datacenter), request_timeout=1.0)
    policy = cluster.profile_manager.default.load_balancing_policy
    for host in hosts:
        cluster.metadata.add_or_return_host(host)
    replication = {"replication_factor": "1"}
    cluster.metadata.keyspaces = {KEYSPACE: KeyspaceMetadata(KEYSPACE, True, "SimpleStrategy", replication)}
    quarter = 2**62
    tokens = {host: [str(number * quarter)] for host, number in zip(hosts, (-2, -1, 0, 1), strict=True)}
    cluster.metadata.rebuild_token_map("Murmur3Partitioner", tokens)
    policy.populate(cluster, hosts)
    asked = set()
    for number in range(50):
        query = SimpleStatement("SELECT", routing_key=number.to_bytes(4, "big"), keyspace=KEYSPACE)
        [owner] = cluster.metadata.get_replicas(KEYSPACE, query.routing_key)
        first = next(iter(policy.make_query_plan(KEYSPACE, query)))
        assert first is owner
        asked.add(first)
    assert asked == set(hosts)


def test_nodes_of_another_datacentre_are_not_asked() -> None:
    hosts = nodes(HERE, HERE, THERE)
    cluster = clients.cassandra(Cassandra(datacenter=HERE), request_timeout=1.0)
    policy = cluster.profile_manager.default.load_balancing_policy
    for host in hosts:
        cluster.metadata.add_or_return_host(host)
    policy.populate(cluster, hosts)
    assert set(policy.make_query_plan(KEYSPACE, SimpleStatement("SELECT"))) == {*hosts[:2]}
