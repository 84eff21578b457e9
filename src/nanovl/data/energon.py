"""Packs from megatron-energon: for sets too large for one machine's index of lines.

A task encoder hands energon the same three steps the plain loader takes (`SampleEncoder.encode`,
the selection of `nanovl.data.packing`, `SampleEncoder.load` and `build_pack`), so a record has the
same tokens whoever loads it; energon decides the order, the blend and which worker reads what.
`EnergonLoader` is the only thing the rest of nanovl sees. Importing this module needs the extra
`train`.

Records and media are read where they lie: energon draws lines, and media is opened lazily through
`nanovl.data.media`, as ranges of bytes in tar files. Every hook is a pure function of the drawn
line and of the number of the draw, which is what makes the loader's state exact.

Source: training specification, sections 3.3, 8.2, 8.3 and 8.4.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch

from nanovl.core.config import to_dict
from nanovl.core.errors import BackendError, ConfigError, InputError, NanoVLError, missing_extra
from nanovl.core.inputs import PackedBatch
from nanovl.data.blend import Source, load_blend
from nanovl.data.config import DataConfig
from nanovl.data.drops import DropCounter, Dropped
from nanovl.data.encode import EncodedSample, SampleEncoder
from nanovl.data.energon_state import from_plain, to_plain
from nanovl.data.media import MediaStore, open_media
from nanovl.data.packing import build_pack, select_packs
from nanovl.data.prepare import BLEND_NAME, check_prepared
from nanovl.data.records import Record
from nanovl.data.stream import StreamItem
from nanovl.ops.loss import Reduction, Unit
from nanovl.processing.processor import Processor

try:
    from megatron.energon import (
        Cooker,
        SkipSample,
        TaskEncoder,
        WorkerConfig,
        basic_sample_keys,
        get_savable_loader,
        get_train_dataset,
        stateless,
    )
    from megatron.energon.errors import FatalSampleError
    from megatron.energon.flavors.webdataset.sample_loader import SliceState
    from megatron.energon.rng import SystemRngState
    from megatron.energon.savable_loader import (
        SavableDataLoaderState,
        SavableDatasetCheckpoint,
        SavableDatasetState,
    )
    from megatron.energon.state import FlexState
    from megatron.energon.wrappers import PackingDataset
except ImportError as error:
    raise missing_extra("megatron-energon", "train", "data.loader=energon") from error

__all__ = ["EnergonLoader", "PackTaskEncoder"]

_log = logging.getLogger(__name__)

# Lines read one after the other before another part of the file is drawn.
_SEQUENCE = 100
# A worker that is silent for so long is stuck; filling the first buffer takes longer.
_SILENCE_S, _FIRST_SILENCE_S = 300.0, 1800.0
# So many draws without one usable sample mean that the data is not what it should be.
_HOPELESS = 1000
# What energon's state is made of, besides plain values.
_STATES = {
    kind.__name__: kind
    for kind in (
        FlexState,
        SavableDataLoaderState,
        SavableDatasetCheckpoint,
        SavableDatasetState,
        SliceState,
        SystemRngState,
    )
}
# Settings that change how packs are made ready, but not which packs there are.
_FREE = frozenset({"metadataset", "prefetch", "align", "pad_packs", "pixel_dtype"})
_DropEvent = tuple[str, str, str]  # source, reason, message


class PackTaskEncoder(TaskEncoder):  # type: ignore[misc]
    """What energon calls: lines in, packs out.

    Args:
        encoder: Encodes and loads single samples.
        sources: Leaves of the blend file, for names and media.
        rank: Of this data-parallel rank; keeps the keys of draws apart.
        align: Packs are padded to a multiple of this.
        reduction, unit: Of the loss weights.
    """

    decoder = None

    def __init__(
        self,
        encoder: SampleEncoder,
        sources: Sequence[Source],
        *,
        rank: int = 0,
        align: int = 1,
        reduction: Reduction = "square",
        unit: Unit = "turn",
    ) -> None:
        self.cookers = [Cooker(_cook)]
        self._encoder = encoder
        self._rank = rank
        self._align = align
        self._reduction, self._unit = reduction, unit
        self._by_path: dict[str, list[Source]] = {}
        for source in sources:
            self._by_path.setdefault(str(source.path.resolve()), []).append(source)
        self._stores: dict[tuple[Path, Path | None], MediaStore] = {}
        self._drops: list[_DropEvent] = []
        self._in_vain = 0

    # --- hooks, in the order energon calls them -------------------------------------------------

    @stateless  # type: ignore[untyped-decorator]
    def preencode_sample(self, sample: dict[str, Any]) -> dict[str, Any]:
        """A line becomes a sample without pixels."""
        line = int(sample["__key__"])
        path = sample["__sources__"][0].dataset_path
        source = self._source(path, line)
        draw = int(self.current_sample_index)
        with self._handling(source.name):
            record = _record(sample["json"], f"{Path(path).name}, record {line + 1}")
        name = record.source or source.name
        with self._handling(name):
            item = StreamItem(
                key=f"{source.name}/{line + 1}/{self._rank}.{draw}",
                record=record,
                store=self._store(source),
                source=name,
                draw=draw,
            )
            encoded = self._encoder.encode(item)
        self._in_vain = 0
        return {**basic_sample_keys(sample), "sample": encoded}

    def select_samples_to_pack(self, samples: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        """A buffer becomes groups that fit a pack, in random order."""
        encoded: list[EncodedSample] = [sample["sample"] for sample in samples]
        config, keys = self._encoder.config, [sample.key for sample in encoded]
        groups = select_packs(
            [sample.num_tokens for sample in encoded],
            self._encoder.seq_len,
            config.packing,
            keys=keys,
            tiles=[sample.num_tiles for sample in encoded],
        )
        if config.shuffle:  # packs come out ordered by their longest sample
            random.Random(f"{config.seed}/packs/{keys[0]}").shuffle(groups)
        return [[samples[i] for i in group] for group in groups]

    @stateless  # type: ignore[untyped-decorator]
    def postencode_sample(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Pixels of one sample of the pack that is due."""
        encoded: EncodedSample = sample["sample"]
        with self._handling(encoded.source):
            loaded = self._encoder.load(encoded)
        return {**basic_sample_keys(sample), "loaded": loaded}

    @stateless  # type: ignore[untyped-decorator]
    def pack_selected_samples(self, samples: list[dict[str, Any]]) -> dict[str, Any]:
        """Samples become a pack; it carries the drops since the pack before it."""
        if not samples:
            raise SkipSample
        config, length = self._encoder.config, self._encoder.seq_len
        packed = config.packing.is_on
        with self._fatal():
            pack = build_pack(
                [sample["loaded"] for sample in samples],
                pad_id=self._encoder.processor.tokenizer.pad_id,
                seq_len=length if packed else None,
                pad_to=length if packed and config.pad_packs else None,
                align=self._align,
                reduction=self._reduction,
                unit=self._unit,
            )
        return {
            "__key__": "+".join(pack.keys),
            "__restore_key__": (),
            "pack": pack,
            "drops": self.take_drops(),
        }

    @stateless  # type: ignore[untyped-decorator]
    def batch(self, samples: list[dict[str, Any]]) -> dict[str, Any]:
        """Without packing: consecutive samples side by side in one stream."""
        pack: dict[str, Any] = self.pack_selected_samples(samples)
        return pack

    def build_batch(self, dataset: Any, *, batch_size: int | None, **options: Any) -> Any:
        """As the base class, without its progress bar on standard error."""
        built = super().build_batch(dataset, batch_size=batch_size, **options)
        if isinstance(built, PackingDataset):
            fill = built._fill_reading_buffer
            built._fill_reading_buffer = lambda samples, log_progress=False: fill(samples)
        return built

    # --- drops ----------------------------------------------------------------------------------

    def take_drops(self) -> list[_DropEvent]:
        """Drops since the last call."""
        drops, self._drops = self._drops, []
        return drops

    def on_error(self, error: Exception, sample: Any, sources: Any = None) -> None:
        """energon's error handler: a damaged line is dropped, everything else is fatal."""
        if not isinstance(error, json.JSONDecodeError):
            raise error
        where = sources[0] if sources else None
        name, line = ("unknown", 0) if where is None else (where.dataset_path, int(where.index))
        found = self._source(name, line).name if where is not None else name
        self._drops.append((found, "malformed_record", f"{Path(name).name}: {error}"))

    @contextlib.contextmanager
    def _handling(self, source: str) -> Iterator[None]:
        """Count a dropped sample and let energon take the next one."""
        with self._fatal():
            try:
                yield
            except Dropped as error:
                self._drops.append((source, error.reason, error.message))
                self._in_vain += 1
                if self._in_vain >= _HOPELESS:
                    raise InputError(
                        f"{self._in_vain} samples in a row could not be used, the last one of "
                        f"{source}: {error}; check the data with: nanovl data validate"
                    ) from error
                raise SkipSample from error

    @contextlib.contextmanager
    def _fatal(self) -> Iterator[None]:
        """Anything but a skipped sample ends the run; energon would print it and go on."""
        try:
            yield
        except SkipSample:
            raise
        except Exception as error:
            raise FatalSampleError(str(error)) from error

    # --- sources --------------------------------------------------------------------------------

    def _source(self, path: str, line: int) -> Source:
        """The leaf of the blend a line belongs to."""
        known = self._by_path.get(path)
        if known is None:
            known = self._by_path[path] = self._by_path.get(str(Path(path).resolve()), [])
        for source in known:
            if source.start <= line and (source.stop is None or line < source.stop):
                return source
        if not known:
            raise FatalSampleError(f"{path}: energon reads a file the blend does not name")
        return known[0]

    def _store(self, source: Source) -> MediaStore:
        key = source.path, source.media
        if key not in self._stores:
            self._stores[key] = open_media(source.media, source.path.parent)
        return self._stores[key]


@stateless  # type: ignore[untyped-decorator]
def _cook(sample: dict[str, Any], **aux: Any) -> dict[str, Any]:
    """The line as it is; media is opened by name later, so the aux stores stay closed."""
    return {**basic_sample_keys(sample), "json": sample["json"]}


def _record(value: Any, where: str) -> Record:
    try:
        return Record.from_json(value, where=where)
    except Dropped:
        raise
    except InputError as error:
        raise Dropped("malformed_record", str(error)) from error


# --- the loader ---------------------------------------------------------------------------------


class EnergonLoader:
    """Packs of one data-parallel rank; a `nanovl.data.loader.PackLoader`.

    Worker processes are forked, so build the loader before CUDA is initialised. Their number is
    part of the state: another one would be another order.

    Args:
        config: Where the data is and how it is packed; `loader` is "energon".
        processor: Tokenizer, template and media pipeline.
        dp_rank, dp_size: This data-parallel rank, and how many there are.
        align: Packs are padded to a multiple of this.
        reduction, unit: Of the loss weights.
        micro: Samples side by side in one stream when packing is off.

    Raises:
        ConfigError: No blend file, or one that energon cannot use.
        InputError: Data that has not been prepared.
    """

    def __init__(
        self,
        config: DataConfig,
        processor: Processor,
        *,
        dp_rank: int = 0,
        dp_size: int = 1,
        align: int = 1,
        reduction: Reduction = "square",
        unit: Unit = "turn",
        micro: int = 1,
    ) -> None:
        if config.metadataset is None:
            raise ConfigError("data.metadataset is not set: expected a blend file or a .jsonl")
        sources = load_blend(config.metadataset, config.split)
        check_prepared(sources)
        self.drops = DropCounter()
        self.last_wait_s = 0.0
        self._workers = config.num_workers
        settings = {k: v for k, v in to_dict(config).items() if k not in _FREE}
        self._facts = {
            **{f"data.{name}": value for name, value in settings.items()},
            "sources": _identity(sources),
            "batch.micro": micro,
            "data-parallel rank": dp_rank,
            "data-parallel size": dp_size,
        }
        self._encoder = PackTaskEncoder(
            SampleEncoder(processor, config),
            sources,
            rank=dp_rank,
            align=align,
            reduction=reduction,
            unit=unit,
        )
        self._loader = self._build(config, sources, dp_rank, dp_size, micro)
        self._packs: Iterator[dict[str, Any]] | None = None

    def _build(
        self, config: DataConfig, sources: Sequence[Source], rank: int, size: int, micro: int
    ) -> Any:
        workers = WorkerConfig(
            rank=rank,
            world_size=size,
            num_workers=config.num_workers,
            seed_offset=config.seed,
            global_error_handler=self._encoder.on_error,
        )
        packed = config.packing.is_on
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                dataset = get_train_dataset(
                    _file(Path(str(config.metadataset)), sources),
                    split_part=config.split,
                    worker_config=workers,
                    batch_size=None if packed else micro,
                    packing_buffer_size=config.packing.buffer_samples if packed else None,
                    shuffle_buffer_size=(config.shuffle_buffer or None) if config.shuffle else None,
                    max_samples_per_sequence=_SEQUENCE if config.shuffle else None,
                    shuffle_over_epochs_multiplier=1 if config.shuffle else None,
                    parallel_shard_iters=16 if config.shuffle else 1,
                    task_encoder=self._encoder,
                    repeat=all(source.repetitions is None for source in sources),
                )
                loader = get_savable_loader(
                    dataset,
                    # Collecting and freezing the heap is good for a worker, not for the trainer.
                    gc_collect_every_n_steps=10 if config.num_workers else 0,
                    prefetch_factor=max(config.prefetch, 1),
                    watchdog_timeout_seconds=_SILENCE_S,
                    watchdog_initial_timeout_seconds=_FIRST_SILENCE_S,
                    fail_on_timeout=True,
                )
        except NanoVLError:
            raise
        except Exception as error:  # energon raises whatever it likes, bare assertions included
            text = str(error) or type(error).__name__
            folders = {str(source.path.parent) for source in sources}
            raise ConfigError(
                f"{config.metadataset}: energon cannot use it: {text}; is everything prepared? "
                f"(nanovl data prepare {' '.join(sorted(folders))})"
            ) from error
        _log.debug("energon: %s", printed.getvalue())
        loader.pin_memory = False  # packs have no pinned form; without a GPU it would warn
        loader.generator = torch.Generator()  # leave the global one to the trainer
        return loader

    def __iter__(self) -> EnergonLoader:
        return self

    def __next__(self) -> PackedBatch:
        """The next pack.

        Raises:
            StopIteration: The data ends (a blend with repetitions).
            BackendError: A worker failed or died.
        """
        begun = time.perf_counter()
        if self._packs is None:
            self._packs = iter(self._loader)
        try:
            item = next(self._packs)
        except StopIteration:
            if not self._workers:
                self._count(self._encoder.take_drops())
            raise
        except (FatalSampleError, RuntimeError) as error:
            _raise(error)
        self._count(item["drops"])
        pack: PackedBatch = item["pack"]
        for source in pack.sources:
            self.drops.used(source)
        self.last_wait_s = time.perf_counter() - begun
        return pack

    def _count(self, drops: Sequence[Sequence[str]]) -> None:
        for source, reason, message in drops:
            self.drops.add(source, reason, message)

    def state_dict(self) -> dict[str, Any]:
        """Where the data stands after the last pack returned, in plain JSON values.

        Raises:
            BackendError: A worker has died.
        """
        running = getattr(self._loader, "_iterator", None)
        workers = getattr(running, "_workers", [])
        if not all(worker.is_alive() for worker in workers):
            raise BackendError("data loading: a worker process has died, its state is lost")
        return {
            "loader": "energon",
            "facts": self._facts,
            "state": to_plain(self._loader.save_state_rank(), _STATES),
            "drops": self.drops.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken; before the first pack.

        Raises:
            ConfigError: Packs have been read already, or the state is of another set-up.
        """
        if self._packs is not None:
            raise ConfigError("data state: restore it before the first pack is read")
        saved = state.get("facts", {"data.loader": state.get("loader")})
        different = [
            f"{name}: saved {saved.get(name)!r}, now {value!r}"
            for name, value in self._facts.items()
            if saved.get(name) != value
        ]
        if different:
            raise ConfigError(
                f"data state does not belong to this run ({'; '.join(different)}); go back to the "
                "settings it was saved with, or start the data anew"
            )
        self._loader.restore_state_rank(from_plain(state["state"], _STATES))
        self.drops.load_state_dict(state["drops"])

    def close(self) -> None:
        """End the worker processes."""
        running = getattr(self._loader, "_iterator", None)
        if running is not None:
            running._shutdown_workers()
            self._loader._iterator = None
        for queue in (*self._loader.cmd_queues, *self._loader.result_queues):
            queue.close()
            queue.cancel_join_thread()
        self._packs = iter(())


def _file(path: Path, sources: Sequence[Source]) -> Path:
    """The file energon should open where `path` may be a folder."""
    if not path.expanduser().is_dir():
        return path.expanduser().absolute()
    blend = path / BLEND_NAME
    return (sources[0].path if len(sources) == 1 else blend).absolute()


def _identity(sources: Sequence[Source]) -> str:
    """A short name of what is read, without where it lies."""
    facts = [
        (s.name, s.path.stat().st_size, s.weight, s.repetitions, s.start, s.stop) for s in sources
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _raise(error: Exception) -> NoReturn:
    """What energon and torch wrap, unwrapped: our own error, or one line about theirs."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, NanoVLError):
            raise inner
        inner = inner.__cause__ or inner.__context__
    if not isinstance(error, FatalSampleError) and "worker" not in str(error):
        raise error
    # From a worker comes the text of a traceback, innermost error first; ours is a line of it.
    mark = f"{FatalSampleError.__name__}: "
    lines = [line for line in str(error).splitlines() if mark in line]
    text = lines[0].partition(mark)[2] if lines else str(error).partition("\n")[0]
    hint = (
        " (workers are forked: start them before this process decodes a video, or use "
        "data.num_workers=0)"
        if "exited unexpectedly" in text
        else ""
    )
    raise BackendError(f"data loading with energon failed: {text}{hint}") from error
