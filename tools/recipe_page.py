"""Write docs/reference/recipes.md from the recipe's dataclasses and the bundled recipes.

python tools/recipe_page.py            write the page
python tools/recipe_page.py --check    exit 1 if the page on disk is not what would be written

Must not say anything about a key that its docstring does not say.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import types
import typing
from pathlib import Path
from typing import Any, Literal

from nanovl.core.config import key_of, to_dict
from nanovl.train.config import Recipe, load_recipe, num_updates, recipe_names, tokens_per_update
from nanovl.train.plan import REPORTED

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "recipes.md"

HEAD = """# Recipes

<!-- Written by tools/recipe_page.py from the dataclasses; do not edit. -->

A recipe is a YAML file with the settings of one training stage. It holds what differs from the
defaults below; on the command line `KEY=VALUE` changes one more setting, with the dotted name of a
table and a value in YAML: `optim.lr=1e-5 stage.freeze=[vision] optim.clip=null`. An unknown key is
an error that names the nearest one. How to use them: [training](../guides/training.md).

`stage` needs exactly one of its three lengths; everything else has a default. `null` means "off"
or "the usual", as the table says.
"""

BUNDLED = """## Bundled recipes

`nanovl plan` lists them, `nanovl plan NAME` shows what one costs. The first six are the report's
stages at 12B, the others the same stages for the small model `mini`: their lengths keep the ratios
1 : 3 : 19, their other numbers are our choice. Weights and data are placeholders at 12B:
`data.metadataset` and, for stage0, `model.path` have to be given.
"""

SOURCES = """## The report's numbers, and what is inferred

What the technical report states, beside what follows from the recipe:

{reported}

Not everything a run needs is in the report, and we read its table of hyper-parameters from a text
copy without the borders of its columns. Every such value carries a comment in the recipe files. In short:

| setting | in the recipes | where it comes from |
|---|---|---|
| `batch.global` | {batches} | inferred: 2,158 updates x 1,024 are the 2.2 M samples of Stage 0, so the other number of that row is for Stages 1 to 4 |
| packing in Stage 0 | off | inferred: its batch counts samples, and 36 B tokens are called an upper bound |
| `optim.lr` | {rates} | the exponents are unreadable; those of the predecessor's published scripts. For QAD 2e-5 is reported |
| `optim.weight_decay` | {decays} | reported; which stage has which is inferred |
| `optim.min_lr`, `eps`, `clip` | {minimum}, {eps}, {clip} | the report is silent; the predecessor's |
| `optim.betas`, `warmup_frac`, `schedule` | {betas}, {warmup}, {schedule} | reported |
| `loss.reduction`, `unit` | {loss} | "square averaging, similar to InternVL" is reported; turn instead of sample is inferred |
| `data.packing.buffer_samples` | {buffers} | "several thousand" is reported; the smaller one is our choice, for samples of 160K tokens |
| `data.packing.delta_frac` | {delta} | ours; Eagle 2 opened 20 packs more |
| `data.reuse`, blend of Stage 2 | 25 % of the multimodal, 50 % of the text records | "25 %" is reported; the 50 % make its totals come true |
| `precision.recipe` | {precision} | FP8 with delayed scaling is reported |
| `precision.bf16_first`, ... | 2 at either end | "first and last layers" is reported, how many is not; that encoder blocks are meant likewise is inferred |
| `parallel.cp` | {cp} | reported |
| `recompute` | {recompute} | the report is silent; the predecessor's fine-tuning script |
| length of QAD | {qad} tokens | the report is silent; 1 % of Stage 1 |
| what QAD trains | language model only | inferred: only that is quantized |
"""  # noqa: E501


def page() -> str:
    """The whole page as Markdown."""
    parts = [HEAD, "## Top level\n", _table(Recipe, "", nested=False)]
    for field in dataclasses.fields(Recipe):
        group = _dataclass_of(typing.get_type_hints(Recipe)[field.name])
        if group is not None:
            off = " Off unless set." if field.default is None else ""
            parts += [f"## {field.name}\n", f"{_summary(group)}{off}\n"]
            parts.append(_table(group, f"{field.name}."))
    parts += [BUNDLED, _bundled(), _sources()]
    return "\n".join(parts)


def _table(kind: type, prefix: str, *, nested: bool = True) -> str:
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in _rows(kind, prefix, nested)]
    return "\n".join([*lines, ""])


def _rows(kind: type, prefix: str, nested: bool) -> list[tuple[str, str, str, str]]:
    hints, meanings, rows = typing.get_type_hints(kind), _meanings(kind), []
    for field in dataclasses.fields(kind):
        hint, inner = hints[field.name], _dataclass_of(hints[field.name])
        key = f"{prefix}{key_of(field)}"
        if inner is not None and not nested:
            continue
        meaning = meanings.get(field.name)
        if inner is not None:
            if field.default is None:
                rows.append((f"`{key}`", "group", "null", meaning or _summary(inner)))
            rows += _rows(inner, f"{key}.", nested)
            continue
        if meaning is None:
            meaning = f"{_summary(kind).rstrip('.')}: {field.name}."
        rows.append((f"`{key}`", _type(hint), _default(field), meaning.replace("|", "\\|")))
    return rows


def _dataclass_of(hint: Any) -> type | None:
    choices = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return next((c for c in choices if isinstance(c, type) and dataclasses.is_dataclass(c)), None)


def _summary(kind: type) -> str:
    text = " ".join(inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].split())
    return re.sub(r" \((training specification, )?section [\d.]+\)", "", text)


def _meanings(kind: type) -> dict[str, str]:
    """The section `Attributes` of a docstring; one entry may explain several names."""
    text = inspect.cleandoc(kind.__doc__ or "")
    _, _, section = text.partition("Attributes:\n")
    found = {}
    for entry in re.split(r"\n(?=    \S)", section.rstrip()):
        names, _, meaning = entry.strip().partition(": ")
        meaning = re.sub(r"\bNone\b", "null", " ".join(meaning.split()))
        listed = names.split(", ")
        if len(listed) > 1:
            meaning = f"{', '.join(f'`{name}`' for name in listed)}: {meaning}"
        found.update(dict.fromkeys(listed, meaning))
    return found


def _type(hint: Any) -> str:
    origin, choices = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in choices)
    if isinstance(hint, types.UnionType) or origin is typing.Union:
        named = [_type(choice) for choice in choices if choice is not type(None)]
        return " or ".join([*named, *(["null"] if type(None) in choices else [])])
    if origin is tuple:
        if choices[-1] is Ellipsis:
            return f"list of {_type(choices[0])}"
        return f"{len(choices)} x {_type(choices[0])}"
    return {int: "whole number", float: "number", str: "text", bool: "true, false"}[hint]


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        value = field.default
    elif field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    else:
        return "required"
    return '""' if value == "" else _shown(value)


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(_shown(v) for v in value)}]"
    if isinstance(value, float) and 0 < abs(value) < 1e-3:
        return re.sub(r"\.?0*e-0?", "e-", f"{value:e}")
    return f"{value:g}" if isinstance(value, float) else str(value)


def _names() -> list[str]:
    """Stages at 12B first."""
    return sorted(recipe_names(), key=lambda name: (name.count("/"), name == "qad", name))


def _bundled() -> str:
    lines = [
        "| recipe | trains | pack | batch | updates | tokens | lr | decay | cp | precision |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in _names():
        r = load_recipe(name)
        trained = r.stage.trainable
        cells = (
            f"`{name}`",
            "all" if len(trained) == 3 else ", ".join(sorted(trained)),
            f"{r.data.seq_len:,}",
            f"{r.batch.global_:,} {'packs' if r.packing else 'samples'}",
            f"{num_updates(r):,}",
            f"{'' if r.packing else '<= '}{_count(num_updates(r) * tokens_per_update(r))}",
            _shown(r.optim.lr),
            _shown(r.optim.weight_decay),
            str(r.parallel.cp),
            r.precision.recipe,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _sources() -> str:
    lines = [
        "| stage | samples | tokens | nodes x 8 H100 | hours | updates | seconds per update |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, said in REPORTED.items():
        updates = num_updates(load_recipe(name))
        cells = (
            name,
            _count(said.samples),
            _count(said.tokens),
            str(said.nodes),
            f"{said.hours:g}",
            f"{updates:,}",
            f"{said.hours * 3600 / updates:.1f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    note = "hours over updates. Which stages had 32 and which 64 nodes is inferred."
    lines += [
        "",
        "Updates are reported for Stage 0 and are tokens over batch x length elsewhere; the last",
        f"column is {note}",
    ]
    stages = {name: load_recipe(name) for name in (*REPORTED, "qad")}
    last = stages["stage1"]

    def each(key: str) -> str:
        """A value per stage, equal neighbours told once."""
        values: dict[str, list[str]] = {}
        for name, recipe in stages.items():
            value: Any = to_dict(recipe)
            for part in key.split("."):
                value = value[part]
            shown = _shown(float(f"{value:g}") if isinstance(value, float) else value)
            values.setdefault(shown, []).append(name)
        if len(values) == 1:
            return next(iter(values))
        common = max(values, key=lambda shown: len(values[shown]))
        rest = [f"{shown} ({', '.join(who)})" for shown, who in values.items() if shown != common]
        return ", ".join([common, *rest])

    return SOURCES.format(
        reported="\n".join(lines),
        batches=each("batch.global"),
        rates=each("optim.lr"),
        decays=each("optim.weight_decay"),
        minimum=each("optim.min_lr"),
        eps=each("optim.eps"),
        clip=each("optim.clip"),
        betas=each("optim.betas"),
        warmup=each("optim.warmup_frac"),
        schedule=each("optim.schedule"),
        loss=f"{last.loss.reduction}, {last.loss.unit}",
        buffers=each("data.packing.buffer_samples"),
        delta=each("data.packing.delta_frac"),
        precision=each("precision.recipe"),
        cp=each("parallel.cp"),
        recompute=each("recompute"),
        qad=_count(stages["qad"].stage.train_tokens or 0),
    )


def _count(n: float) -> str:
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if n >= size:
            return f"{float(f'{n / size:.4g}'):g} {unit}"
    return f"{n:g}"


def main() -> None:
    """Write or check the page."""
    text = page()
    if "--check" in sys.argv[1:]:
        if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
            sys.exit("docs/reference/recipes.md is stale; run: python tools/recipe_page.py")
        return
    PAGE.write_text(text, encoding="utf-8")
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
