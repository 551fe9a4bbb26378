"""Settings are read once, and what is wrong is said by key, value and what is allowed."""

import traceback
from pathlib import Path

import pytest
from pydantic import SecretStr

from streams.adapters import clients
from streams.settings import Kafka, SettingsError, Triton, load


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


def test_a_password_may_come_from_a_file_as_docker_and_kubernetes_hand_it_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("open sesame\n")
    monkeypatch.setenv("ANABRANCH_KAFKA__USERNAME", "ada")
    monkeypatch.setenv("ANABRANCH_KAFKA__PASSWORD_FILE", str(tmp_path / "secret"))
    kafka = load(home=tmp_path).kafka
    assert kafka.password is not None
    assert kafka.password.get_secret_value() == "open sesame"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"USERNAME": "ada"}, "ANABRANCH_KAFKA__USERNAME and ANABRANCH_KAFKA__PASSWORD (or"),
        ({"PASSWORD": "sesame"}, "ANABRANCH_KAFKA__USERNAME and ANABRANCH_KAFKA__PASSWORD (or"),
        ({"USERNAME": "ada", "PASSWORD": ""}, "neither may be empty"),
        ({"USERNAME": "ada", "PASSWORD_FILE": "/no/such"}, "ANABRANCH_KAFKA__PASSWORD_FILE='/no/such' cannot be read"),
        ({"PASSWORD": "sesame", "PASSWORD_FILE": "/etc/hosts"}, "only one can be set"),
        ({"TLS": "true", "CA_FILE": "/no/such"}, "ANABRANCH_KAFKA__CA_FILE='/no/such': Path does not point to a file"),
        ({"CA_FILE": "/etc/hosts"}, "without ANABRANCH_KAFKA__TLS=true"),
        ({"TLS": "true", "KEY_FILE": "/etc/hosts"}, "ANABRANCH_KAFKA__CERTIFICATE_FILE and ANABRANCH_KAFKA__KEY_FILE"),
        ({"PASSWORT": "sesame"}, "ANABRANCH_KAFKA__PASSWORT: there is no such setting"),
        ({"HOST": "10.0.0.7", "USERNAME": "ada", "PASSWORD": "sesame"}, "unencrypted; set ANABRANCH_KAFKA__TLS=true"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_said_without_the_password(
    settings: dict[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"ANABRANCH_KAFKA__{name}", value)
    with pytest.raises(SettingsError) as raised:
        load(home=tmp_path)
    assert said in str(raised.value)
    assert "sesame" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "shop.example"])
def test_without_tokens_nobody_on_the_network_is_answered(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANABRANCH_HTTP__HOST", host)
    with pytest.raises(SettingsError, match=r"would let in anybody on the network; set ANABRANCH_HTTP__TOKEN_FILE"):
        load(home=tmp_path)
    (tmp_path / "tokens").write_text("")
    monkeypatch.setenv("ANABRANCH_HTTP__TOKEN_FILE", str(tmp_path / "tokens"))
    assert load(home=tmp_path).http.host == host


def test_settings_can_be_shown_to_anybody() -> None:
    kafka = Kafka(username="ada", password=SecretStr("sesame"))
    assert "sesame" not in f"{kafka} {kafka!r} {kafka.model_dump()} {kafka.model_dump_json()}"


def test_each_identity_has_settings_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    for name in ("admin", "worker"):
        (tmp_path / "secrets" / f"{name}.env").write_text(
            f"ANABRANCH_CASSANDRA__USERNAME={name}\nANABRANCH_CASSANDRA__PASSWORD=sesame\n"
        )
    assert load(home=tmp_path).cassandra.username == "admin"
    assert load("worker", home=tmp_path).cassandra.username == "worker"
    with pytest.raises(SettingsError, match=r"'wroker' is no identity of .*: admin, worker"):
        load("wroker", home=tmp_path)


def test_where_nothing_is_secured_everybody_has_the_same_settings(tmp_path: Path) -> None:
    assert load("worker", home=tmp_path) == load("consumer", home=tmp_path) == load(home=tmp_path)


def test_a_file_without_a_certificate_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("not a certificate")
    kafka = Kafka(tls=True, ca_file=tmp_path / "ca.pem")
    with pytest.raises(SettingsError, match=r"ANABRANCH_KAFKA__CA_FILE='.*/ca\.pem' holds no certificate"):
        clients.tls(kafka)
    mine = tmp_path / "ca.pem"
    triton = Triton(tls=True, certificate_file=mine, key_file=mine)
    with pytest.raises(SettingsError, match=r"ANABRANCH_TRITON__CERTIFICATE_FILE='.*' and .* are no certificate"):
        clients.triton(triton)
