"""The ports that the tests give to the servers that they start."""

from tests.support.ports import BLOCKED_BY_BROWSERS, FIRST_PORT, PORTS_A_WORKER, free_port


def test_no_port_is_given_twice_and_all_are_of_one_worker() -> None:
    ports = [free_port() for _ in range(100)]

    assert len(set(ports)) == len(ports)
    assert len({(port - FIRST_PORT) // PORTS_A_WORKER for port in ports}) == 1


def test_no_port_is_given_to_which_browsers_do_not_connect() -> None:
    ports = {free_port() for _ in range(PORTS_A_WORKER)}

    assert not ports & set(BLOCKED_BY_BROWSERS)
