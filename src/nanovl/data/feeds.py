"""Run a pack producer somewhere else and hand over what it makes.

Three places, one interface (`Feed.get`): right here, in a thread, in a process of its own. Every
message carries the state after it, so that whatever was prepared ahead and never used costs
nothing but time. Packs travel as plain bytes through a pipe: nothing is left behind in shared
memory however a process ends. A process that dies is an error at the next `get`, never a wait
without end; a process whose parent is gone ends itself.

Knows nothing about the order in which several feeds are read; that is `nanovl.data.loader`.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import signal
import threading
import traceback
from dataclasses import dataclass, fields
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

import torch

from nanovl.core import errors
from nanovl.core.inputs import PackedBatch
from nanovl.data.producer import PackProducer, ShardSpec

__all__ = ["Feed", "InlineFeed", "Message", "ProcessFeed", "ThreadFeed"]

_POLL_S = 0.1
_END_S = 5.0


@dataclass(frozen=True)
class Message:
    """What a feed hands over.

    Attributes:
        pack: The next pack; None when there are no more.
        state: Of the producer, after this pack.
    """

    pack: PackedBatch | None
    state: dict[str, Any]


class Feed(Protocol):
    """A producer at work."""

    def get(self) -> Message:
        """The next message; waits for it. Raises what went wrong on the other side."""

    def close(self) -> None:
        """Stop, and wait until everything is gone; may be called more than once."""


class InlineFeed:
    """Makes every pack when it is asked for."""

    def __init__(self, producer: PackProducer) -> None:
        self._producer = producer

    def get(self) -> Message:
        """Make the next pack."""
        return _produce(self._producer)

    def close(self) -> None:
        """Nothing to stop."""


class _Buffered:
    """Messages a thread puts into a queue, errors included."""

    def __init__(self, ahead: int) -> None:
        self._queue: queue.Queue[Message | BaseException] = queue.Queue(max(1, ahead))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nanovl-data", daemon=True)

    def _run(self) -> None:
        message: Message | BaseException
        while not self._stop.is_set():
            try:
                message = self._next()
            except BaseException as error:  # raised again by `get`, in the thread that waits
                message = error
            while not self._stop.is_set():
                try:
                    self._queue.put(message, timeout=_POLL_S)
                    break
                except queue.Full:
                    continue
            if isinstance(message, BaseException) or message.pack is None:
                return

    def _next(self) -> Message:
        raise NotImplementedError

    def get(self) -> Message:
        """The next message."""
        message = self._queue.get()
        if isinstance(message, BaseException):
            raise message
        return message

    def close(self) -> None:
        """Stop the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()


class ThreadFeed(_Buffered):
    """Prepares packs in a thread of this process.

    Args:
        producer: Used by the thread alone from now on.
        ahead: Packs prepared beyond the one that is wanted.
    """

    def __init__(self, producer: PackProducer, ahead: int) -> None:
        super().__init__(ahead)
        self._producer = producer
        self._thread.start()

    def _next(self) -> Message:
        return _produce(self._producer)


class ProcessFeed(_Buffered):
    """Prepares packs in a process of its own.

    Args:
        spec: What the process makes.
        state: Where it continues, or None.
        ahead: Packs kept ready on this side.
        name: For messages, e.g. "data worker 1".
    """

    def __init__(
        self, spec: ShardSpec, state: dict[str, Any] | None, *, ahead: int, name: str
    ) -> None:
        super().__init__(ahead)
        self._name = name
        methods = multiprocessing.get_all_start_methods()
        context: Any = multiprocessing.get_context(
            "forkserver" if "forkserver" in methods else "spawn"
        )
        if "forkserver" in methods:
            context.set_forkserver_preload(["nanovl.data.producer"])
        self._pipe, far = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_work, args=(far, spec, state), name=name, daemon=True
        )
        self._process.start()
        far.close()
        self._thread.start()

    @property
    def pid(self) -> int:
        """Of the worker process."""
        return int(self._process.pid)

    def _next(self) -> Message:
        try:
            message = _receive(self._pipe)
        except (EOFError, OSError) as error:
            self._process.join(_END_S)
            raise errors.BackendError(
                f"{self._name} (process {self._process.pid}) ended without a word, exit code "
                f"{self._process.exitcode}; -9 usually means that the machine ran out of memory: "
                "lower data.num_workers or data.packing.buffer_samples"
            ) from error
        if isinstance(message, _Failure):
            raise message.rebuilt(self._name)
        return message

    def close(self) -> None:
        """End the process, then the thread that reads from it."""
        self._stop.set()
        if self._process.is_alive():
            self._process.kill()  # it holds nothing that needs to be put in order
        self._process.join()
        super().close()  # the dead process has closed the pipe, so the thread does not wait
        self._pipe.close()


# --- the process --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Failure:
    """An error on its way to the parent."""

    kind: str
    text: str
    trace: str

    @classmethod
    def of(cls, error: BaseException) -> _Failure:
        return cls(type(error).__name__, str(error), traceback.format_exc())

    def rebuilt(self, where: str) -> Exception:
        """An error of the same class; a bug keeps the traceback of the process."""
        if self.kind in errors.__all__:
            known: type[Exception] = getattr(errors, self.kind)
            return known(f"{where}: {self.text}")
        return RuntimeError(f"{where} failed with {self.kind}: {self.text}\n{self.trace}")


def _work(pipe: Connection, spec: ShardSpec, state: dict[str, Any] | None) -> None:
    """Main function of a worker process."""
    # Whoever started the run decides when it ends, not a signal to the whole group.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    try:
        try:
            producer = PackProducer(spec)
            if state is not None:
                producer.load_state_dict(state)
            more = True
            while more:
                message = _produce(producer)
                _send(pipe, message)
                more = message.pack is not None
        except OSError as error:
            if isinstance(error, (BrokenPipeError, ConnectionResetError)):
                raise
            _send(pipe, _Failure.of(error))
        except Exception as error:
            _send(pipe, _Failure.of(error))
    except (BrokenPipeError, ConnectionResetError):
        return  # nobody listens any more


def _end_with_parent() -> None:
    """Leave as soon as the parent is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _produce(producer: PackProducer) -> Message:
    pack = next(producer, None)
    return Message(pack, producer.state_dict())


# --- the wire -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Parcel:
    """A pack without the contents of its tensors: (name, dtype, shape) of each, and the rest."""

    tensors: list[tuple[str, torch.dtype, tuple[int, ...]]]
    rest: dict[str, Any]
    state: dict[str, Any]


def _send(pipe: Connection, message: Message | _Failure) -> None:
    if isinstance(message, _Failure) or message.pack is None:
        pipe.send_bytes(pickle.dumps(message))
        return
    values = {f.name: getattr(message.pack, f.name) for f in fields(message.pack)}
    if isinstance(values["pixel_values"], tuple):
        values |= {f"pixel_values.{i}": p for i, p in enumerate(values.pop("pixel_values"))}
    tensors = {n: v.contiguous() for n, v in values.items() if isinstance(v, torch.Tensor)}
    parcel = _Parcel(
        [(name, tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()],
        {name: value for name, value in values.items() if name not in tensors},
        message.state,
    )
    pipe.send_bytes(pickle.dumps(parcel))
    for tensor in tensors.values():
        pipe.send_bytes(_bytes_of(tensor))


def _receive(pipe: Connection) -> Message | _Failure:
    parcel = pickle.loads(pipe.recv_bytes())
    if not isinstance(parcel, _Parcel):
        message: Message | _Failure = parcel
        return message
    values = dict(parcel.rest)
    for name, dtype, shape in parcel.tensors:
        values[name] = torch.empty(shape, dtype=dtype)
        pipe.recv_bytes_into(_bytes_of(values[name]))
    several = [name for name in values if name.startswith("pixel_values.")]
    if several:
        values["pixel_values"] = tuple(values.pop(name) for name in several)
    return Message(PackedBatch(**values), parcel.state)


def _bytes_of(tensor: torch.Tensor) -> memoryview:
    """The memory of a contiguous tensor."""
    return tensor.view(-1).view(torch.uint8).numpy().data
