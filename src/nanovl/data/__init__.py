"""Training samples: records on disk, encoded, packed and loaded.

    from nanovl.data import DataConfig, build_loader
    loader = build_loader(DataConfig(metadataset="blend.yaml", seq_len=4096), processor)
    pack = next(loader)

Knows shards, the processor and rank numbers given as integers; never a model, an optimizer or a
process group. Importing this package loads no torch; names are resolved on first use.

Reading order: what a line says (`records`, `jsonl`, `drops`), where its media is (`media`, `tars`,
`cache`), which data sets are mixed and in which order their records come (`config`, `blend`,
`shuffle`, `stream`), how a record becomes tokens and samples become packs (`encode`, `packing`),
who makes them and keeps count (`producer`, `feeds`, `loader`), the same with energon (`energon`,
`energon_state`, `prepare`), and what makes and looks at data sets (`writer`, `inspect`, `stats`,
`pages`, and the converters in `convert`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nanovl.data.blend import Source as Source, load_blend as load_blend
    from nanovl.data.config import (
        DataConfig as DataConfig,
        PackingConfig as PackingConfig,
        ReuseConfig as ReuseConfig,
        VideoSampling as VideoSampling,
    )
    from nanovl.data.drops import DropCounter as DropCounter, Dropped as Dropped
    from nanovl.data.encode import EncodedSample as EncodedSample, SampleEncoder as SampleEncoder
    from nanovl.data.loader import PackLoader as PackLoader, build_loader as build_loader
    from nanovl.data.media import MediaStore as MediaStore, open_media as open_media
    from nanovl.data.packing import (
        LoadedSample as LoadedSample,
        build_pack as build_pack,
        select_balanced as select_balanced,
        select_greedy as select_greedy,
    )
    from nanovl.data.records import (
        Fragment as Fragment,
        Record as Record,
        RecordMessage as RecordMessage,
    )
    from nanovl.data.stream import RecordStream as RecordStream, StreamItem as StreamItem
    from nanovl.data.writer import RecordWriter as RecordWriter

_HOMES = {
    "DataConfig": "config",
    "DropCounter": "drops",
    "Dropped": "drops",
    "EncodedSample": "encode",
    "Fragment": "records",
    "LoadedSample": "packing",
    "MediaStore": "media",
    "PackLoader": "loader",
    "PackingConfig": "config",
    "Record": "records",
    "RecordMessage": "records",
    "RecordStream": "stream",
    "RecordWriter": "writer",
    "ReuseConfig": "config",
    "SampleEncoder": "encode",
    "Source": "blend",
    "StreamItem": "stream",
    "VideoSampling": "config",
    "build_loader": "loader",
    "build_pack": "packing",
    "load_blend": "blend",
    "open_media": "media",
    "select_balanced": "packing",
    "select_greedy": "packing",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nanovl.data' has no attribute {name!r}")
    value = getattr(import_module(f"nanovl.data.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
