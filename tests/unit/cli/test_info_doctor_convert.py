"""The verbs that run no model."""

import json

import pytest

from nanovl.cli.convert import parse_size
from nanovl.core.errors import ConfigError


def test_info(cli, checkpoint):
    result = cli("info", checkpoint)
    assert (result.code, result.err) == (0, "")
    rows = dict(line.split(maxsplit=1) for line in result.out.splitlines())
    assert rows["pattern"] == "M-M*-"
    assert "never trained" in rows["origin"]
    assert rows["context"] == "262144 tokens"


def test_info_json(cli, checkpoint):
    document = json.loads(cli("info", checkpoint, "--json").out)
    assert document["num_parameters"] == sum(document["parameters"].values())
    assert document["config"]["lm"]["pattern"] == "M-M*-"
    assert document["problem"] is None


def test_info_lists_formats_of_a_quantized_checkpoint(cli, tmp_path):
    assert cli("convert", "--random", "tiny", tmp_path / "q", "--format", "fp8").code == 0
    out = cli("info", tmp_path / "q").out
    assert "FP8" in out
    assert "mamba.in_proj" in out


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("int8", "compressed-tensors int-quantized"),
        ("int4", "nanovl int4"),
        ("int4-sym", "compressed-tensors pack-quantized"),
    ],
)
def test_integers_are_written_shown_and_answered_from(cli, checkpoint, tmp_path, name, shown):
    assert cli("convert", checkpoint, tmp_path / name, "--format", name).code == 0
    assert shown in cli("info", tmp_path / name).out
    assert cli("chat", "Hello", "-m", tmp_path / name, "--max-tokens", "2").code == 0
    assert cli("convert", tmp_path / name, tmp_path / "back", "--format", "bf16").code == 0
    assert json.loads(cli("info", tmp_path / "back", "--json").out)["quant_algo"] == ""


def test_gguf_files_are_written(cli, checkpoint, tmp_path):
    result = cli("convert", checkpoint, tmp_path / "g", "--format", "gguf-q8")
    assert (result.code, result.out) == (0, f"{tmp_path / 'g'}\n")
    assert sorted(p.name for p in (tmp_path / "g").iterdir()) == ["mmproj.gguf", "model.gguf"]
    wrong = cli("convert", checkpoint, tmp_path / "h", "--format", "gguf-q9")
    assert wrong.code == 2
    assert "did you mean 'gguf-q8'" in wrong.err
    kept = cli("convert", checkpoint, tmp_path / "h", "--format", "gguf", "--keep", "*")
    assert "--keep belongs to other formats" in kept.err
    assert not (tmp_path / "h").exists()


def test_doctor_says_what_converted_weights_take(cli, checkpoint, monkeypatch):
    assert "converted weights        none" in cli("doctor").out
    monkeypatch.setattr("nanovl.checkpoint.quant_cache.KEEP_FROM_BYTES", 1)
    question = ("chat", "Hello", "-m", checkpoint, "--quant", "int8", "--max-tokens", "1")
    assert cli(*question).code == 0
    assert "GB; remove it to free them" in cli("doctor").out
    rows = json.loads(cli("doctor", "--json").out)["paths"]
    assert any(row["name"] == "converted weights" for row in rows)
    assert cli(*question).code == 0


def test_info_of_a_damaged_checkpoint(cli, checkpoint, tmp_path):
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(checkpoint, broken)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    result = cli("info", broken)
    assert result.code == 1
    assert "error: " in result.err
    assert "Traceback" not in result.err


def test_doctor(cli):
    result = cli("doctor")
    assert result.code == 0
    for title in ("versions", "machine", "fast paths", "extras", "programs", "paths"):
        assert f"{title}\n" in result.out
    document = json.loads(cli("doctor", "--json").out)
    known = {"speech", "youtube", "ray", "train", "synth", "screens", "evals", "parity"}
    assert {row["name"] for row in document["extras"]} == known
    assert {"C compiler", "JavaScript runtime"} <= {row["name"] for row in document["programs"]}
    assert document["fast paths"]


def test_doctor_names_the_install_line_of_an_absent_extra(cli, monkeypatch):
    monkeypatch.setattr("nanovl.cli.doctor._EXTRAS", {"speech": ("no_such_package", "x")})
    assert "absent; run: pip install 'nanovl[speech]'" in cli("doctor").out
    monkeypatch.setattr("nanovl.cli.doctor._EXTRAS", {"train": ("no_such.package", "x")})
    assert "absent; run: pip install 'nanovl[train]'" in cli("doctor").out


def test_doctor_names_the_package_of_an_absent_program(cli, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "absent; apt install chromium-headless-shell" in cli("doctor").out


def test_convert_changes_format_and_shards(cli, checkpoint, tmp_path):
    out = tmp_path / "out"
    result = cli("convert", checkpoint, out, "--format", "fp8", "--shard-size", "200kB")
    assert (result.code, result.out) == (0, f"{out}\n")
    assert len(list(out.glob("*.safetensors"))) > 1
    again = cli("convert", checkpoint, out)
    assert again.code == 1
    assert "not empty" in again.err
    assert cli("convert", checkpoint, out, "--overwrite").code == 0
    assert cli("info", out).out.count("model") == 1


def test_a_file_in_the_way_stays(cli, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    result = cli("convert", "--random", "tiny", path)
    assert result.code == 1
    assert "is a file" in result.err
    assert [p.read_text() for p in tmp_path.iterdir()] == ["mine"]


def test_random_weights_depend_on_the_seed(cli, tmp_path):
    def weights(name, seed):
        cli("convert", "--random", "tiny", tmp_path / name, "--seed", seed)
        return (tmp_path / name / "model.safetensors").read_bytes()

    assert weights("a", 1) == weights("b", 1) != weights("c", 2)


@pytest.mark.parametrize(
    ("text", "size"),
    [("5GB", 5 * 10**9), ("1.5 MiB", 3 << 19), ("700", 700), ("2k", 2000), ("1gib", 1 << 30)],
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "0", "5TB", "1e9"])
def test_bad_sizes(text):
    with pytest.raises(ConfigError, match="expected a number with a unit"):
        parse_size(text)
