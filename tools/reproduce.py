"""The report in miniature: its tables and figures, measured on the small model.

    python -m tools.reproduce stages --work RUNS --suite SUITE      Tables 4 and 6
    python -m tools.reproduce evs --work RUNS --suite SUITE         Figure 4
    python -m tools.reproduce budget --work RUNS --suite SUITE      Figure 3
    python -m tools.reproduce tiling --work RUNS --suite SUITE      Table 7
    python -m tools.reproduce precision --work RUNS --suite SUITE   Table 8
    python -m tools.reproduce packing | loss | fp8 --work RUNS      packing, loss reduction, FP8
    python -m tools.reproduce page [--check]                        docs/reproduction.md

`RUNS` is the work folder of `tools.make_mini`; what is asked and trained is kept in
`RUNS/reproduce`. `SUITE` is what `tools.mini_suite` builds. Each command writes NAME.json, NAME.md
and NAME.svg into `--out` and, where that is docs/reproduction, the page. A command that was stopped
goes on; a cell that was measured with the same inputs is not measured again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nanovl.core.config import apply_overrides, from_dict, to_dict
from nanovl.core.errors import ConfigError, NanoVLError
from nanovl.evals.speed import Load
from nanovl.evals.sweeps import IMAGE_MODES
from tools import reproduce_sweeps as sweeps, reproduce_trained as trained
from tools.reproduce_asked import Bench
from tools.reproduce_cells import ROOT, Results
from tools.reproduce_page import render, write_files
from tools.reproduce_quant import CALIBRATED, LOADED, SAMPLES, Calibration

__all__ = ["command_of", "main"]

PAGE = ROOT / "docs" / "reproduction.md"
OUT = ROOT / "docs" / "reproduction"
FORMATS = ("bf16", "fp8", "int8", "int4", "nvfp4")
_FOLDERS = ("work", "suite", "out", "data", "calibration", "held_out")
# What a committed command need not say.
_UNSAID = ("experiment", "run", "out", "check")


# --- experiments --------------------------------------------------------------------------------


def _bench(args: argparse.Namespace) -> Bench:
    return Bench(
        suite=args.suite,
        work=args.work / "reproduce",
        command=args.command,
        limit=args.limit,
        runs=args.runs,
        seed=args.seed,
        device=args.device,
        dtype=args.dtype,
    )


def _stages(args: argparse.Namespace) -> Results:
    return sweeps.stages(
        _bench(args), args.out, args.work, args.tasks, held_out=args.held_out, answers=args.answers
    )


def _evs(args: argparse.Namespace) -> Results:
    # 8K visual tokens: 128 frames are the report's, and fill the small model's whole context.
    usual = Load(frames=32, requests=2)
    load = from_dict(Load, apply_overrides(to_dict(usual), args.load), where="--load")
    return sweeps.evs(
        _bench(args), args.out, args.model,
        rates=args.rates, names=args.tasks, load=None if args.no_speed else load,
    )  # fmt: skip


def _budget(args: argparse.Namespace) -> Results:
    return sweeps.budget(
        _bench(args), args.out, args.model,
        budgets=args.budgets, grace=args.grace, names=args.tasks,
    )  # fmt: skip


def _tiling(args: argparse.Namespace) -> Results:
    return sweeps.tiling(
        _bench(args), args.out, args.model,
        given=_pairs(args.given), modes=args.modes, names=args.tasks,
    )  # fmt: skip


def _precision(args: argparse.Namespace) -> Results:
    blend = args.calibration or args.work / "stage1.yaml"
    calibration = Calibration(
        blend=blend if blend.is_file() else None, samples=args.samples, seed=args.seed
    )
    print(f"calibration: {calibration.text}", flush=True)
    return sweeps.precision(
        _bench(args), args.out, args.model, formats=args.formats, given=_pairs(args.given),
        calibration=calibration, names=args.tasks,
    )  # fmt: skip


def _packing(args: argparse.Namespace) -> Results:
    options = [*args.set, *(["--samples", str(args.limit)] if args.limit else [])]
    return trained.packing(args.out, args.command, options, args.data)


def _loss(args: argparse.Namespace) -> Results:
    stage1 = args.work / "stage1.yaml"
    return trained.loss(
        args.out, args.work / "reproduce", args.command, start=args.model,
        blend=args.data or (stage1 if stage1.is_file() else None), updates=args.updates,
        held_out=args.limit or args.answers, settings=args.set, seed=args.seed, device=args.device,
    )  # fmt: skip


def _fp8(args: argparse.Namespace) -> Results:
    return trained.fp8(
        args.out, args.command, [*args.set, "--updates", str(args.updates)], args.data
    )


def _pairs(words: Sequence[str]) -> dict[str, str]:
    """NAME=CHECKPOINT words as a mapping.

    Raises:
        ConfigError: A word without a name.
    """
    found = {}
    for word in words:
        name, sign, path = word.partition("=")
        if not (sign and name and path):
            raise ConfigError(f"--given {word!r}: expected NAME=CHECKPOINT")
        found[name] = path
    return found


# --- command line -------------------------------------------------------------------------------


def _page(args: argparse.Namespace) -> int:
    text = PAGE.read_text(encoding="utf-8")
    new = render(text, OUT, PAGE)
    if args.check:
        if new != text:
            print("docs/reproduction.md is stale; run: python -m tools.reproduce page")
        return int(new != text)
    PAGE.write_text(new, encoding="utf-8")
    return 0


def command_of(args: argparse.Namespace, parser: argparse.ArgumentParser) -> str:
    """The command that measures the same again, with names in place of this machine's folders."""
    words = ["python -m tools.reproduce", args.experiment]
    for action in parser._actions:
        name, value = action.dest, getattr(args, action.dest, None)
        if name in _UNSAID or value is None or value == action.default:
            continue
        flag = action.option_strings[-1]
        if name in _FOLDERS:
            words.append(f"{flag} {'RUNS' if name == 'work' else name.upper()}")
        elif value is True:
            words.append(flag)
        elif isinstance(action, argparse._AppendAction):
            words += [f"{flag} {_without_folders(str(one))}" for one in value]
        elif isinstance(value, list | tuple):
            words.append(f"{flag} {','.join(map(str, value))}")
        else:
            words.append(f"{flag} {_without_folders(str(value))}")
    return " ".join(words)


def _without_folders(word: str) -> str:
    """A checkpoint by its name, an export by its stage too; other words as they are."""
    head, sign, path = word.rpartition("=")
    parts = Path(path).parts
    if len(parts) < 2:
        return word
    return head + sign + "/".join(parts[-2:] if parts[-1] == "export" else parts[-1:])


def _list(kind: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    def read(text: str) -> list[Any]:
        return [kind(word.strip()) for word in text.split(",") if word.strip()]

    return read


def _parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    parser = argparse.ArgumentParser(
        prog="python -m tools.reproduce",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="experiment", required=True)
    found: dict[str, argparse.ArgumentParser] = {}

    def verb(name: str, run: Callable[[argparse.Namespace], Results], text: str) -> Any:
        one = found[name] = verbs.add_parser(name, help=text, description=text)
        one.set_defaults(run=run)
        one.add_argument("--work", type=Path, required=True, metavar="RUNS",
                         help="work folder of tools.make_mini")  # fmt: skip
        one.add_argument("--out", type=Path, default=OUT, help="results, tables and figures")
        one.add_argument("--limit", type=int, help="questions, answers or samples at most")
        one.add_argument("--seed", type=int, default=0)
        one.add_argument("--device", default="auto")
        return one

    def asks(one: Any, tasks: Sequence[str]) -> None:
        one.add_argument("--suite", type=Path, required=True, help="folder of the local suite")
        one.add_argument("--tasks", type=_list(str), default=list(tasks), metavar="LIST")
        one.add_argument("--runs", type=int, help="of modes that sample")
        one.add_argument("--dtype", default="auto")

    one = verb("stages", _stages, "Tables 4 and 6: the suite after every training stage.")
    asks(one, ())
    one.add_argument("--held-out", type=Path, help="blend whose split val is measured too")
    one.add_argument("--answers", type=int, default=64, help="held-out answers of every set")
    one = verb("evs", _evs, "Figure 4: accuracy, first token and throughput by pruning rate.")
    asks(one, sweeps.VIDEOS)
    one.add_argument("--model", default="mini")
    one.add_argument("--rates", type=_list(float), default=list(sweeps.RATES), metavar="LIST")
    one.add_argument("--load", action="append", default=[], metavar="KEY=VALUE")
    one.add_argument("--no-speed", action="store_true", help="ask questions only")
    one = verb("budget", _budget, "Figure 3: scores by reasoning budget.")
    asks(one, sweeps.REASONED)
    one.add_argument("--model", default="mini")
    one.add_argument("--budgets", type=_list(int), default=list(sweeps.BUDGETS), metavar="LIST")
    one.add_argument("--grace", type=int, default=32, help="tokens beyond a budget")
    one = verb("tiling", _tiling, "Table 7: tiles, native resolution, tiling-size matching.")
    asks(one, sweeps.PICTURES)
    one.add_argument("--model", default="mini")
    one.add_argument("--modes", type=_list(str), default=list(IMAGE_MODES), metavar="LIST")
    one.add_argument("--given", action="append", default=[], metavar="MODE=CHECKPOINT")
    one = verb("precision", _precision, "Table 8: number formats.")
    asks(one, sweeps.PICTURES)
    one.add_argument("--model", default="mini")
    one.add_argument("--formats", type=_list(str), default=list(FORMATS), metavar="LIST",
                     help=f"some of {', '.join((*LOADED, *CALIBRATED))}")  # fmt: skip
    one.add_argument("--given", action="append", default=[], metavar="NAME=CHECKPOINT",
                     help="a quantized checkpoint, such as nvfp4-qad=FOLDER")  # fmt: skip
    one.add_argument("--calibration", type=Path, metavar="BLEND", help="RUNS/stage1.yaml if there")
    one.add_argument("--samples", type=int, default=SAMPLES, help="of calibration")
    one = verb("packing", _packing, "Tokens per second and fill, packed and padded.")
    _trains(one, "of benchmarks/packing.py")
    one = verb("loss", _loss, "Square-averaged and token-mean loss, by length of the answer.")
    _trains(one, "of the recipe")
    one.add_argument("--model", default="mini", help="checkpoint both runs begin with")
    one.add_argument("--updates", type=int, default=200, help="of either run")
    one.add_argument("--answers", type=int, default=64, help="held-out answers of every set")
    one = verb("fp8", _fp8, "The loss curve in FP8 beside that in BF16.")
    _trains(one, "of benchmarks/fp8_loss.py")
    one.add_argument("--updates", type=int, default=200)
    one = verbs.add_parser("page", help="write docs/reproduction.md from the results")
    one.add_argument("--check", action="store_true", help="exit 1 when it is stale")
    return parser, found


def _trains(one: Any, whose: str) -> None:
    one.add_argument("--data", type=Path, help="blend file of training data")
    one.add_argument("--set", action="append", default=[], metavar="WORD", help=f"setting {whose}")


def main(words: Sequence[str] | None = None) -> int:
    """Command line.

    Args:
        words: Of the command; None takes those of the process.

    Returns:
        Exit status.
    """
    parser, verbs = _parsers()
    args = parser.parse_args(words)
    try:
        if args.experiment == "page":
            return _page(args)
        args.command = command_of(args, verbs[args.experiment])
        results = args.run(args)
        for path in (results.path, *write_files(results, args.out)):
            print(path)
        if args.out.resolve() == OUT:
            PAGE.write_text(render(PAGE.read_text(encoding="utf-8"), OUT, PAGE), encoding="utf-8")
    except NanoVLError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
