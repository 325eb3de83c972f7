"""What the command line knows before it is told, and how it is kept."""

import json
import multiprocessing
import stat
import tomllib
from pathlib import Path

import pytest

from rainbow import config, config_file
from rainbow.config import settings
from rainbow.config_file import quoted, save_cluster
from rainbow.errors import InvalidArgument


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration file of the test's own, which does not exist yet."""
    for name in config.DEFAULTS:
        monkeypatch.delenv(f"RAINBOW_{name.upper()}", raising=False)
    monkeypatch.setenv("RAINBOW_CONFIG", str(tmp_path / "my rainbow" / "config.toml"))
    return tmp_path / "my rainbow" / "config.toml"


def write(path: Path, text: str, *, mode: int = 0o600) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def test_without_anything_said_the_defaults_hold() -> None:
    known = settings({})

    assert (known.host, known.cluster, known.token, known.secret) == ("localhost:50051", "keebler", "", "")
    assert (known.registration_secret, known.tls, known.ca_file) == ("chocolate-cookies", False, "")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("localhost", "localhost:50051"),
        ("a.example:1", "a.example:1"),
        ("10.0.0.1", "10.0.0.1:50051"),
        ("[::1]", "[::1]:50051"),
        ("[::1]:7", "[::1]:7"),
        ("::1", "[::1]:50051"),
        ("under_score.", "under_score.:50051"),
    ],
)
def test_a_host_without_a_port_has_the_usual_one(said: str, meant: str) -> None:
    assert settings({"host": said}).host == meant


def test_a_malformed_host_is_refused_by_the_place_that_says_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, 'host = "http://a"\n')
    with pytest.raises(InvalidArgument, match=f"host in {path}: must be HOST or HOST:PORT, without http://"):
        settings({})

    monkeypatch.setenv("RAINBOW_HOST", "a:1:2")
    with pytest.raises(InvalidArgument, match="RAINBOW_HOST: must be HOST or HOST:PORT"):
        settings({})

    with pytest.raises(InvalidArgument, match="--host: must be HOST or HOST:PORT"):
        settings({"host": "[::1"})


def test_a_flag_goes_before_the_environment_and_that_before_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, 'host = "file:1"\ntoken = "file"\nsecret = "file"\n')
    monkeypatch.setenv("RAINBOW_HOST", "environment:1")
    monkeypatch.setenv("RAINBOW_TOKEN", "environment")

    known = settings({"host": "flag:1"})

    assert (known.host, known.token, known.secret) == ("flag:1", "environment", "file")


def test_the_table_of_the_cluster_in_force_goes_before_the_defaults_of_the_file(path: Path) -> None:
    write(path, 'host = "all:1"\n[clusters.alpha]\nhost = "alpha:1"\n[clusters."b.c"]\ntoken = "t"\n')

    alpha, other = settings({"cluster": "alpha"}), settings({"cluster": "b.c"})

    assert (alpha.host, alpha.token) == ("alpha:1", "")
    assert (other.host, other.token) == ("all:1", "t")


def test_the_file_may_name_the_cluster_that_is_meant(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, 'cluster = "alpha"\n[clusters.alpha]\ntoken = "a"\n[clusters.beta]\ntoken = "b"\n')

    by_file = settings({}).token
    monkeypatch.setenv("RAINBOW_CLUSTER", "beta")
    by_environment = settings({}).token

    assert (by_file, by_environment) == ("a", "b")


@pytest.mark.parametrize(("text", "tls"), [("1", True), ("Yes", True), ("off", False), ("0", False)])
def test_tls_is_switched_by_the_environment(text: str, tls: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAINBOW_TLS", text)

    assert settings({}).tls is tls


def test_an_odd_switch_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAINBOW_TLS", "perhaps")

    with pytest.raises(InvalidArgument, match="RAINBOW_TLS: 'perhaps' is neither true nor false"):
        settings({})


def test_whoever_names_certificates_asks_for_tls(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_flag = settings({"ca_file": "ca.pem"})
    monkeypatch.setenv("RAINBOW_CA_FILE", "ca.pem")
    by_environment = settings({})

    assert by_flag.tls
    assert by_environment.tls


def test_no_tls_goes_before_certificates_that_a_later_place_names(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, 'ca_file = "all.pem"\n[clusters.plain]\ntls = false\n')

    by_flag = settings({"tls": False})
    by_table = settings({"cluster": "plain"})
    monkeypatch.setenv("RAINBOW_TLS", "no")
    by_environment = settings({})

    for known in (by_flag, by_table, by_environment):
        assert (known.tls, known.ca_file) == (False, "")


def test_no_tls_goes_before_certificates_that_the_same_place_names() -> None:
    known = settings({"tls": False, "ca_file": "ca.pem"})

    assert (known.tls, known.ca_file) == (False, "")


def test_certificates_go_before_a_no_that_a_later_place_says(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, "tls = false\n")
    monkeypatch.setenv("RAINBOW_TLS", "no")

    known = settings({"ca_file": "ca.pem"})

    assert (known.tls, known.ca_file) == (True, "ca.pem")


@pytest.mark.parametrize("name", sorted(config.DEFAULTS))
def test_an_empty_variable_or_flag_counts_as_not_said(name: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"tls": True, "sign": True, "host": "said:1"}.get(name, "said")
    write(path, f"tls = true\n{name} = {json.dumps(said)}\n" if name != "tls" else "tls = true\n")
    monkeypatch.setenv(f"RAINBOW_{name.upper()}", "")

    known = settings({name: ""})

    assert getattr(known, name) == said


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o660])
@pytest.mark.parametrize("text", ['token = "t"\n', '[clusters.alpha]\nsecret = "s"\n'])
def test_a_file_with_credentials_that_others_may_open_is_refused(path: Path, text: str, mode: int) -> None:
    write(path, text, mode=mode)

    with pytest.raises(InvalidArgument, match=f"chmod 600 '{path}'"):
        settings({})


def test_a_file_without_credentials_may_be_readable_by_all(path: Path) -> None:
    write(path, 'host = "file:1"\n', mode=0o644)

    assert settings({}).host == "file:1"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("host = ", "is not valid TOML"),
        ("host = 5\n", "host: must be a string"),
        ('tls = "yes"\n', "tls: must be true or false"),
        ("[clusters.alpha]\ntoken = 5\n", "token: must be a string"),
        ("clusters = 5\n", "each cluster must be a table"),
        ("[clusters]\nalpha = 5\n", "each cluster must be a table"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_with_the_reason(path: Path, text: str, complaint: str) -> None:
    write(path, text)

    with pytest.raises(InvalidArgument, match=complaint):
        settings({})


def test_a_file_that_is_not_utf_8_is_refused(path: Path) -> None:
    write(path, "")
    path.write_bytes(b'host = "\xff"\n')

    with pytest.raises(InvalidArgument, match="cannot read"):
        settings({})


def test_settings_do_not_show_credentials() -> None:
    told = dict.fromkeys(config.CREDENTIALS, "hush-hush")

    assert "hush-hush" not in repr(settings(told))


def test_saving_makes_a_file_that_nobody_else_may_open(path: Path) -> None:
    save_cluster(path, "alpha", {"host": "h:1", "token": "t", "secret": "s"})

    known = settings({})
    assert (known.cluster, known.host, known.token, known.secret) == ("alpha", "h:1", "t", "s")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["alpha", "a.b", "1", "_x-y"])
def test_every_name_of_a_cluster_can_be_saved(path: Path, name: str) -> None:
    save_cluster(path, name, {"token": "first"})
    save_cluster(path, name, {"token": "second"})

    assert tomllib.loads(path.read_text()) == {"cluster": name, "clusters": {name: {"token": "second"}}}


def test_saving_leaves_every_other_line_as_it_was(path: Path) -> None:
    others = '# mine\r\nhost = "all:1"\n\n[clusters.beta] # hers\ntoken = "b"\nodd = [\n  1,\n]\n'
    write(path, others)

    save_cluster(path, "alpha", {"token": "a"})

    assert path.read_bytes().startswith(others.encode())
    assert settings({"cluster": "alpha"}).token == "a"
    assert settings({"cluster": "beta"}).token == "b"


@pytest.mark.parametrize("header", ["[clusters.alpha]", '[clusters."alpha"]', " [ clusters . alpha ] # mine"])
def test_saving_again_replaces_only_what_is_new(path: Path, header: str) -> None:
    before, after = 'cluster = "beta"\n', '[clusters.beta]\ntoken = "b"\n'
    write(path, f'{before}{header}\nhost = "kept:1"\nextra = 5\ntoken = "old"\n\n{after}')

    save_cluster(path, "alpha", {"token": "new"})

    text = path.read_text()
    assert text.startswith(before)
    assert text.endswith(after)
    assert tomllib.loads(text)["clusters"]["alpha"] == {"host": "kept:1", "extra": 5, "token": "new"}


def test_the_second_cluster_that_is_saved_does_not_become_the_default(path: Path) -> None:
    save_cluster(path, "alpha", {"token": "a"})
    save_cluster(path, "beta", {"token": "b"})

    assert settings({}).cluster == "alpha"


@pytest.mark.parametrize(
    "text",
    [
        'clusters = {alpha = {token = "old"}}\n',
        'note = """\n[clusters.alpha]\n"""\n[clusters.beta]\ntoken = "b"\n[clusters.alpha]\ntoken = "old"\n',
        '[clusters.alpha]\ntoken = "old"\nlist = [\n[1],\n]\n',
    ],
)
def test_a_file_that_cannot_be_changed_safely_stays_as_it_is(path: Path, text: str) -> None:
    write(path, text)

    with pytest.raises(InvalidArgument, match="edit it by hand"):
        save_cluster(path, "alpha", {"token": "new"})

    assert path.read_text() == text


def test_saving_refuses_a_file_that_others_may_open(path: Path) -> None:
    write(path, '[clusters.beta]\ntoken = "b"\n', mode=0o644)

    with pytest.raises(InvalidArgument, match="chmod 600"):
        save_cluster(path, "alpha", {"token": "a"})


def test_a_save_that_is_cut_off_leaves_the_old_file_and_nothing_else(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_cluster(path, "alpha", {"token": "a"})
    before = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(config_file.os, "fsync", full)
    with pytest.raises(InvalidArgument, match="No space left on device"):
        save_cluster(path, "beta", {"token": "b"})

    assert path.read_bytes() == before
    assert {entry.name for entry in path.parent.iterdir()} == {"config.toml", ".config.toml.lock"}


def test_a_link_to_the_file_stays_a_link(path: Path, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles" / "rainbow.toml"
    write(real, 'host = "h:1"\n')
    path.parent.mkdir()
    path.symlink_to(real)

    save_cluster(path, "alpha", {"token": "a"})

    assert path.is_symlink()
    assert tomllib.loads(real.read_text())["clusters"]["alpha"] == {"token": "a"}


def test_clusters_that_are_saved_at_the_same_time_are_all_kept(path: Path) -> None:
    names = [f"c{number}" for number in range(8)]
    savers = [
        multiprocessing.get_context("spawn").Process(target=save_cluster, args=(path, name, {"token": name}))
        for name in names
    ]

    for saver in savers:
        saver.start()
    for saver in savers:
        saver.join()

    assert set(tomllib.loads(path.read_text())["clusters"]) == set(names)


@pytest.mark.parametrize(
    "text", ["plain", 'a "quoted" \\ word', "tab\tline\nreturn\r", "".join(map(chr, range(32))), "\x7f", "ü→🌈"]
)
def test_what_is_quoted_is_read_back_as_it_was(text: str) -> None:
    assert tomllib.loads(f"a = {quoted(text)}") == {"a": text}
