"""One channel to a rainbow server: deadlines, repetition, and status codes as exceptions."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import TypeVar

import grpc

from rainbow import translation
from rainbow.address import is_loopback, with_port
from rainbow.call_errors import failure_of
from rainbow.call_log import CallLog, Metadata
from rainbow.connection_diagnosis import ConnectionDiagnosis
from rainbow.errors import DeadlineExceeded, InvalidArgument, RainbowError, Unauthenticated, Unavailable, Untouched
from rainbow.pending_call import PendingCall
from rainbow.protos.rainbow_pb2_grpc import RainbowSchedulerStub
from rainbow.retries import LONGEST_TIMEOUT_SECONDS, PATIENCE_SECONDS, Retries
from rainbow.telemetry.request_ids import KEY, next_request_id
from rainbow.tls import Tls
from rainbow.watchdog import Watchdog

# How long the answer to a request of many may take.
SILENCE_SECONDS = PATIENCE_SECONDS
# gRPC tells the state of a channel at once, from a thread of its own, which a machine that stalls may run late.
STATE_WITHIN_SECONDS = 10.0
CHANNEL_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5000),
    # Firewalls and address translators forget a silent connection after some minutes, and neither end is told. A call
    # that waits for jobs is silent: pings keep its connection known, and notice within 45 seconds when it is dead.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 15_000),
    # Without this one gRPC (1.83, 1.85) waits for a minute, whatever the one above says.
    ("grpc.http2.ping_timeout_ms", 15_000),
    ("grpc.http2.max_pings_without_data", 0),
    # A connection carries 100 calls at a time, and channels with the same options would share one.
    ("grpc.use_local_subchannel_pool", 1),
)

# Tells the server that this client knows the extension fields in the replies of the original protocol's calls.
KNOWS_EXTENSIONS: Metadata = (("rainbow-extensions", "1"),)
Question = TypeVar("Question")
Answer = TypeVar("Answer")
Record = TypeVar("Record")


class Connection:
    def __init__(self, host: str, *, timeout_seconds: float, retries: Retries, tls: Tls) -> None:
        self.host = with_port(host)
        check_timeout(timeout_seconds)
        self.timeout_seconds = timeout_seconds
        self.answers = 0
        self.answered_at = 0.0
        self._retries = retries
        self._is_closed = False
        self._diagnosis = ConnectionDiagnosis(self.host, tls=tls)
        self._tls = tls
        self._stamps = tls.stamps()
        self._channel = _open_channel(self.host, tls)
        self.stub = RainbowSchedulerStub(self._channel)

    def close(self) -> None:
        """Ends calls of other threads, too, which are not repeated then."""
        self._is_closed = True
        self._channel.close()

    def ask(
        self,
        call: "grpc.UnaryUnaryMultiCallable[Question, Answer]",
        request: Question,
        *,
        credential: str = "",
    ) -> Answer:
        """Send, and send again whenever the server is not available."""
        metadata = metadata_of(credential)
        return self.repeat(
            lambda left: self.send(call, request, timeout_seconds=left, metadata=metadata),
            deadline_seconds=self.timeout_seconds,
        )

    def ask_once(
        self,
        call: "grpc.UnaryUnaryMultiCallable[Question, Answer]",
        request: Question,
        *,
        credential: str = "",
    ) -> Answer:
        """Send, and send again only if the server certainly did nothing about it."""
        metadata = metadata_of(credential)
        return self.repeat(
            lambda left: self.send(call, request, timeout_seconds=left, metadata=metadata),
            deadline_seconds=self.timeout_seconds,
            after=Untouched,
        )

    def repeat(
        self,
        attempt: Callable[[float], Answer],
        *,
        deadline_seconds: float,
        after: type[Unavailable] = Unavailable,
    ) -> Answer:
        return self._retries.run(attempt, deadline_seconds=deadline_seconds, after=after)

    def send(
        self,
        call: "grpc.UnaryUnaryMultiCallable[Question, Answer]",
        request: Question,
        *,
        timeout_seconds: float,
        metadata: Metadata,
    ) -> Answer:
        """One attempt. Raises what the server's status code stands for."""
        log = CallLog(call, metadata)
        try:
            with self._told_if_closed(log):
                answered = call(request, timeout=timeout_seconds, metadata=log.metadata)
            answer = self._heard(answered)
        except grpc.RpcError as error:
            raise log.failed(self._failure(error)) from error
        log.ended()
        return answer

    def _heard(self, answer: Answer | None) -> Answer:
        if answer is None:  # gRPC lets a call end well without one
            raise translation.nonsense("it is empty")
        self.answers += 1
        self.answered_at = time.time()
        return answer

    def begin(
        self,
        call: "grpc.UnaryUnaryMultiCallable[Question, Answer]",
        request: Question,
        *,
        timeout_seconds: float,
        read: Callable[[Answer], Record],
        credential: str = "",
    ) -> PendingCall[Record]:
        """One attempt, which is not waited for."""
        metadata = metadata_of(credential)
        log = CallLog(call, metadata)
        with self._told_if_closed(log):
            future = call.future(request, timeout=timeout_seconds, metadata=log.metadata)

        def heard(answer: Answer) -> Record:
            log.ended()
            return read(self._heard(answer))

        return PendingCall(
            future,
            read=heard,
            failure=lambda error: log.failed(self._failure(error)),
        )

    def stream(
        self,
        call: "grpc.UnaryStreamMultiCallable[Question, Answer]",
        request: Question,
        *,
        metadata: Metadata,
        first_seconds: float = 0,
    ) -> Iterator[Answer]:
        """One attempt at a call with many answers, which ends when the caller stops reading.

        The first comes within `first_seconds`, which is the timeout unless said, or not at all; the others when there
        is something to tell.
        """
        log = CallLog(call, metadata)
        with self._told_if_closed(log):
            answers = call(request, metadata=log.metadata)
        yield from self._read(answers, log, first_seconds=first_seconds or self.timeout_seconds)

    def exchange(
        self,
        call: "grpc.StreamStreamMultiCallable[Question, Answer]",
        requests: Iterator[Question],
        *,
        metadata: Metadata,
    ) -> Iterator[Answer]:
        """The same with many requests, which another thread takes from their iterator, and an answer to each."""
        log = CallLog(call, metadata)
        with self._told_if_closed(log):
            answers = call(requests, metadata=log.metadata)
        yield from self._read(answers, log, first_seconds=SILENCE_SECONDS, silence_seconds=SILENCE_SECONDS)

    def _read(
        self,
        answers: "grpc._CallIterator[Answer]",
        log: CallLog,
        *,
        first_seconds: float,
        silence_seconds: float = math.inf,
    ) -> Iterator[Answer]:
        watchdog = Watchdog(answers.cancel)
        seconds = first_seconds
        try:
            while True:
                with watchdog.waiting(seconds):
                    answer = next(answers)
                yield answer
                seconds = silence_seconds
        except StopIteration:
            log.ended()
            return
        except grpc.RpcError as error:
            raise log.failed(self._failure(error)) from error
        finally:
            watchdog.end()
            answers.cancel()

    @contextmanager
    def _told_if_closed(self, log: CallLog) -> Iterator[None]:
        """gRPC refuses to begin a call of a closed channel by a ValueError."""
        try:
            yield
        except ValueError as error:
            if not self._is_closed:
                raise
            raise log.failed(client_was_closed(may_be_done=False)) from error

    def _failure(self, error: grpc.RpcError) -> RainbowError:
        if self._is_closed:
            return client_was_closed()
        failure = failure_of(error, host=self.host, diagnose=self._diagnosis.reason, is_connecting=self._is_connecting)
        if isinstance(failure, Unavailable | Unauthenticated | DeadlineExceeded):
            self._renew()
        return failure

    def _renew(self) -> None:
        """Uses the files of certificates again if they have changed, from the next call on.

        Calls under way keep the channel that they have. Files that are not usable yet are tried after the next failure.
        """
        stamps = self._tls.stamps()
        if stamps == self._stamps:
            return
        try:
            channel = _open_channel(self.host, self._tls)
        except InvalidArgument:
            return
        self._channel, self._stamps = channel, stamps
        self.stub = RainbowSchedulerStub(channel)

    def _is_connecting(self) -> bool:
        """Whether the channel has no connection yet. One that breaks ends its calls and is not replaced at once."""
        states = SimpleQueue[grpc.ChannelConnectivity]()
        self._channel.subscribe(states.put)
        try:
            return states.get(timeout=STATE_WITHIN_SECONDS) == grpc.ChannelConnectivity.CONNECTING
        except Empty:
            return False
        finally:
            self._channel.unsubscribe(states.put)


def _open_channel(host: str, tls: Tls) -> grpc.Channel:
    if not tls:
        return grpc.insecure_channel(host, options=channel_options(host))
    return grpc.secure_channel(host, tls.credentials(), options=channel_options(host))


def channel_options(host: str) -> Sequence[tuple[str, int]]:
    """No proxy that the environment names stands before this machine itself."""
    return (*CHANNEL_OPTIONS, ("grpc.enable_http_proxy", int(not is_loopback(host))))


def client_was_closed(*, may_be_done: bool = True) -> RainbowError:
    closed = RainbowError("this client was closed")
    closed.may_be_done = may_be_done
    return closed


def check_timeout(seconds: float) -> None:
    if not 0 < seconds <= LONGEST_TIMEOUT_SECONDS:
        raise InvalidArgument(f"must be more than 0 and at most {LONGEST_TIMEOUT_SECONDS:,}", field="timeout_seconds")


def metadata_of(credential: str = "") -> Metadata:
    """The metadata of a call, which its repetitions keep. Raises InvalidArgument."""
    always = (*KNOWS_EXTENSIONS, (KEY, next_request_id()))
    if not credential:
        return always
    if not (credential.isascii() and credential.isprintable()):
        raise InvalidArgument("a credential consists of printable ASCII characters")
    return (*always, ("authorization", f"Bearer {credential}"))
