"""Settings are read once, and what is wrong is said by key, value and what is allowed."""

from pathlib import Path

import pytest

from streams.settings import SettingsError, load


def test_everything_listens_on_loopback_unless_told_otherwise(tmp_path: Path) -> None:
    settings = load(home=tmp_path)
    groups = (settings.kafka, settings.cassandra, settings.triton, settings.metrics)
    assert {group.host for group in groups} == {"127.0.0.1"}


def test_the_environment_wins_over_the_ports_that_up_chose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ports.env").write_text("ANABRANCH_KAFKA__PORT=20001\nANABRANCH_TRITON__GRPC_PORT=20002\n")
    monkeypatch.setenv("ANABRANCH_KAFKA__PORT", "9999")
    settings = load(home=tmp_path)
    assert (settings.kafka.port, settings.triton.grpc_port) == (9999, 20002)


def test_the_home_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANABRANCH_HOME", str(tmp_path))
    (tmp_path / "ports.env").write_text("ANABRANCH_METRICS__PORT=20003\n")
    assert load().metrics.port == 20003


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("ANABRANCH_KAFKA__PORT", "70000", "less than or equal to 65535"),
        ("ANABRANCH_KAFKA__PORT", "many", "valid integer"),
        ("ANABRANCH_WORKER__LIST_LENGTH", "0", "greater than or equal to 1"),
        ("ANABRANCH_WORKER__TASTE_HALF_LIFE_SECONDS", "-1", "greater than 0"),
        ("ANABRANCH_CASSANDRA__KEYSPACE", "drop table", "match pattern"),
    ],
)
def test_an_error_names_key_value_and_what_is_allowed(
    key: str, value: str, allowed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(key, value)
    with pytest.raises(SettingsError) as raised:
        load(home=tmp_path)
    message = str(raised.value)
    assert f"{key}={value!r}" in message
    assert allowed in message


def test_a_misspelt_setting_is_not_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANABRANCH_WORKER__BATCHSIZE", "9")
    with pytest.raises(SettingsError, match="ANABRANCH_WORKER__BATCHSIZE"):
        load(home=tmp_path)
