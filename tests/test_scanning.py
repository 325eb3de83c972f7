"""Looking at a message's bytes without decoding them: never less than there is, and never for long."""

import time

from hypothesis import given
from hypothesis import strategies as st

from grpc_api.transport.scanning import bytes_of_field, count_fields, may_hold_long_numbers
from rainbow.protos import rainbow_pb2 as pb

MANY = 1_000_000
INT_32 = st.integers(-(2**31), 2**31 - 1)
JOBS = st.builds(
    pb.JobSpec,
    name=st.text(max_size=200),
    nodes=INT_32,
    labels=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
)


@given(st.lists(JOBS, max_size=20), st.text(max_size=200), st.integers(1, 25))
def test_elements_are_counted_up_to_one_more_than_are_allowed(jobs: list[pb.JobSpec], cluster: str, most: int) -> None:
    data = pb.SubmitJobsRequest(cluster=cluster, jobs=jobs).SerializeToString()

    assert count_fields(data, 2, most=most) == min(len(jobs), most + 1)


@given(st.lists(st.text(max_size=200), max_size=5), st.integers(0, 2**31 - 1))
def test_a_field_has_the_bytes_of_all_its_pieces(names: list[str], lease: int) -> None:
    pieces = [pb.ReportJobsRequest(facts=pb.Facts(values=[pb.Fact(name=name)])).SerializeToString() for name in names]
    rest = pb.ReportJobsRequest(agent="login-1", lease_seconds=lease).SerializeToString()

    assert bytes_of_field(rest + b"".join(pieces), 8) == sum(map(len, pieces))


@given(st.binary(max_size=100))
def test_what_is_no_message_is_counted_without_a_failure(data: bytes) -> None:
    assert 0 <= count_fields(data, 2, most=5) <= 6
    assert bytes_of_field(data, 2) >= 0


def test_counting_ends_where_there_are_too_many_of_whatever_field() -> None:
    empty, unknown = b"\x12\0" * MANY, b"\xf8\1\0" * MANY
    began = time.process_time()

    counts = [count_fields(data, 2, most=10) for data in (empty, unknown)]

    assert counts == [11, 11]
    assert time.process_time() - began < 0.1  # a million steps take longer


@given(st.lists(INT_32, max_size=20), st.text(max_size=50))
def test_a_number_that_does_not_fit_is_never_overlooked(numbers: list[int], text: str) -> None:
    plain = pb.ListJobsRequest(name=text, page_token=text).SerializeToString()
    # A varint of field 5, page_size, with 33 bits.
    long = plain + b"\x28\xff\xff\xff\xff\x1f"

    assert may_hold_long_numbers(long)


@given(st.lists(st.integers(0, 2**28 - 1), max_size=50))
def test_messages_of_small_numbers_and_ascii_are_seen_to_hold_none(numbers: list[int]) -> None:
    data = pb.AcceptJobsRequest(cluster="keebler", secret="s" * 300, jobids=numbers).SerializeToString()

    # Two varints beside each other: at most three bytes of each go on.
    assert not may_hold_long_numbers(data)
