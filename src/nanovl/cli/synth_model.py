"""`nanovl synth qa|traces`: training data written by a model behind an endpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanovl.cli import options
from nanovl.cli.console import Progress, fail, guarded, note, one_line, write, write_json
from nanovl.core.config import apply_overrides, from_dict, to_dict
from nanovl.core.errors import ConfigError
from nanovl.core.paths import secret

if TYPE_CHECKING:
    from nanovl.synth.model.client import ChatClient
    from nanovl.synth.model.qa import QaReport
    from nanovl.synth.model.traces import TraceReport

__all__ = ["qa", "traces"]

In = Annotated[
    str,
    typer.Argument(
        metavar="IN", help="Data set of nanovl synth, pages of synth tex, or records with media."
    ),
]
Out = Annotated[str, typer.Argument(metavar="OUT", help="Folder of the new data set.")]
Settings = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Further settings; a wrong one names the nearest."),
]
Url = Annotated[
    str, typer.Option("--endpoint", metavar="URL", help="Such as http://localhost:8000/v1.")
]
ModelName = Annotated[
    str, typer.Option("--model", "-m", metavar="NAME", help="Name the endpoint knows.")
]
KeyEnv = Annotated[
    str,
    typer.Option("--key-env", metavar="NAME", help="Environment variable with the endpoint's key."),
]
Parallel = Annotated[
    int, typer.Option("--parallel", metavar="N", help="Requests under way at one time.")
]
RequestsPerMin = Annotated[
    float | None, typer.Option("--requests-per-min", metavar="N", help="Most requests a minute.")
]
TokensPerMin = Annotated[
    float | None, typer.Option("--tokens-per-min", metavar="N", help="Most tokens a minute.")
]
Timeout = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", help="Longest time of one request.")
]
Retries = Annotated[
    int, typer.Option("--retries", metavar="N", help="Further tries after passing trouble.")
]
Prices = Annotated[
    str,
    typer.Option(
        "--prices", metavar="IN,OUT", help="Of a million tokens in and out, such as 0.5,1.5."
    ),
]
Budget = Annotated[
    float | None,
    typer.Option("--budget", metavar="MONEY", help="Stop when so much is spent; 0 asks nothing."),
]
BudgetTokens = Annotated[
    int | None,
    typer.Option("--budget-tokens", metavar="N", help="Stop when so many tokens are used."),
]
Cache = Annotated[
    str | None,
    typer.Option(
        "--cache", metavar="FILE", help="Where answers are kept; left out: OUT.answers.sqlite."
    ),
]
Fields = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Further field of every request, such as top_k=20; null takes one away. May be "
        "repeated.",
    ),
]
Partial = Annotated[
    bool,
    typer.Option("--partial", help="Write what is complete when a budget stops the run."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say how much would be asked and what it would cost.")
]


@guarded
def qa(
    source: In,
    out: Out,
    settings: Settings = None,
    endpoint: Url = "http://localhost:8000/v1",
    model: ModelName = "",
    count: Annotated[int, typer.Option("--count", metavar="N", help="Questions per document.")] = 4,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", help="Documents at most.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of everything drawn.")] = 0,
    key_env: KeyEnv = "",
    parallel: Parallel = 4,
    requests_per_min: RequestsPerMin = None,
    tokens_per_min: TokensPerMin = None,
    timeout: Timeout = 300.0,
    retries: Retries = 6,
    prices: Prices = "0,0",
    budget: Budget = None,
    budget_tokens: BudgetTokens = None,
    cache: Cache = None,
    fields: Fields = None,
    partial: Partial = False,
    dry_run: DryRun = False,
    json: options.Json = False,
) -> None:
    """Let a model write questions and answers about documents, and check them by asking again.

    \b
    Examples:
      nanovl synth qa pages pages-qa --endpoint http://localhost:8000/v1 --model NAME
      nanovl synth qa pages pages-qa --model NAME --prices 0.5,1.5 --budget 20 types=[count,compare]

    The model sees the text of the ground truth, never a picture. A pair is kept when its quotes are
    in that text, a second reading agrees, and it cannot be answered without the document. The same
    command continues a run that was stopped; no answer is paid for twice.
    """
    from nanovl.synth.model.qa import QaSettings, expected_use, write_qa

    chosen = from_dict(
        QaSettings,
        {"count": count, "limit": limit, "seed": seed} | apply_overrides({}, settings or ()),
        where="synth qa",
    )
    limits = _limits(
        parallel, requests_per_min, tokens_per_min, timeout, retries, prices, budget, budget_tokens
    )
    if dry_run:
        _expected(expected_use(Path(source), chosen), "documents", limits, json)
        return
    with _client(endpoint, model, key_env, fields, limits, cache, out) as client:
        with Progress() as progress:
            report = write_qa(
                Path(source), Path(out), client, chosen, partial=partial, on_event=progress
            )
        _tell(
            report, f"{report.documents:,} documents, {report.pairs:,} pairs written", client, json
        )


@guarded
def traces(
    source: In,
    out: Out,
    settings: Settings = None,
    endpoint: Url = "http://localhost:8000/v1",
    model: ModelName = "",
    samples: Annotated[
        int, typer.Option("--samples", metavar="N", help="Answers per question.")
    ] = 4,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", help="Questions at most.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of everything drawn.")] = 0,
    key_env: KeyEnv = "",
    parallel: Parallel = 4,
    requests_per_min: RequestsPerMin = None,
    tokens_per_min: TokensPerMin = None,
    timeout: Timeout = 300.0,
    retries: Retries = 6,
    prices: Prices = "0,0",
    budget: Budget = None,
    budget_tokens: BudgetTokens = None,
    cache: Cache = None,
    fields: Fields = None,
    partial: Partial = False,
    dry_run: DryRun = False,
    json: options.Json = False,
) -> None:
    """Sample reasoning traces for the questions of a data set and keep those that end right.

    \b
    Examples:
      nanovl synth traces maths maths-traces --endpoint http://localhost:8000/v1 --model NAME
      nanovl synth traces charts charts-traces --model NAME --samples 8 right=majority

    Kept are traces whose answer the record's own verifier accepts (or most samples give) and that
    neither loop nor end in the middle. Each gives a record with the trace, and some give one
    without it and one with the trace cut short. The same command continues a run that was stopped.
    """
    from nanovl.synth.model.traces import TraceSettings, expected_use, write_traces

    chosen = from_dict(
        TraceSettings,
        {"samples": samples, "limit": limit, "seed": seed} | apply_overrides({}, settings or ()),
        where="synth traces",
    )
    limits = _limits(
        parallel, requests_per_min, tokens_per_min, timeout, retries, prices, budget, budget_tokens
    )
    if dry_run:
        _expected(expected_use(Path(source), chosen), "questions", limits, json)
        return
    with _client(endpoint, model, key_env, fields, limits, cache, out) as client:
        with Progress() as progress:
            report = write_traces(
                Path(source), Path(out), client, chosen, partial=partial, on_event=progress
            )
        _tell(
            report,
            f"{report.questions:,} questions, {report.samples:,} samples, {report.kept:,} kept",
            client,
            json,
        )


# --- what both share ----------------------------------------------------------------------------


def _limits(
    parallel: int,
    requests_per_min: float | None,
    tokens_per_min: float | None,
    timeout: float,
    retries: int,
    prices: str,
    budget: float | None,
    budget_tokens: int | None,
) -> Any:
    from nanovl.synth.model.limits import Limits

    try:
        price_in, price_out = (float(price) for price in prices.split(","))
    except ValueError:
        raise ConfigError(
            f"prices {prices!r}: expected two numbers, of a million tokens in and out: 0.5,1.5"
        ) from None
    return Limits(
        parallel=parallel,
        requests_per_min=requests_per_min,
        tokens_per_min=tokens_per_min,
        timeout_s=timeout,
        retries=retries,
        price_in=price_in,
        price_out=price_out,
        budget=budget,
        budget_tokens=budget_tokens,
    )


@contextmanager
def _client(
    endpoint: str,
    model: str,
    key_env: str,
    fields: list[str] | None,
    limits: Any,
    cache: str | None,
    out: str,
) -> Iterator[ChatClient]:
    """The client; says where answers are kept when the run is interrupted."""
    from nanovl.synth.model.cache import AnswerCache
    from nanovl.synth.model.client import ChatClient, Endpoint
    from nanovl.synth.model.writing import check_out, default_cache

    if not model:
        raise ConfigError("--model is missing; expected the name of a model the endpoint knows")
    key = secret(key_env) if key_env else ""
    if key_env and not key:
        raise ConfigError(f"the environment variable {key_env} is not set; expected the key in it")
    who = Endpoint(url=endpoint, model=model, key=key, extra=apply_overrides({}, fields or ()))
    check_out(Path(out))
    path = Path(cache) if cache else default_cache(Path(out))
    answers = AnswerCache(path)
    try:
        yield ChatClient(who, limits, answers)
    except KeyboardInterrupt:
        note(f"{len(answers):,} answers are kept in {path}; the same command goes on from there")
        raise
    finally:
        answers.close()


def _expected(use: tuple[int, int, int, int], name: str, limits: Any, as_json: bool) -> None:
    items, requests, tokens_in, tokens_out = use
    cost = (tokens_in * limits.price_in + tokens_out * limits.price_out) / 1e6
    found = {
        name: items,
        "requests": requests,
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "cost": cost,
    }
    if as_json:
        write_json(found)
        return
    for key, value in found.items():
        write(f"{key:<18} {value:,.2f}\n" if key == "cost" else f"{key:<18} {value:,}\n")


def _tell(report: QaReport | TraceReport, head: str, client: ChatClient, as_json: bool) -> None:
    """Totals at the end, and the exit code of a run that stopped early."""
    from nanovl.synth.model.pairs import RULES as PAIR_RULES
    from nanovl.synth.model.thoughts import RULES as THOUGHT_RULES

    if as_json:
        write_json(to_dict(report))
    else:
        if report.path is not None:
            write(f"{report.path}\n")
        note(f"{head}; {report.records:,} records, {report.media:,} media files")
        rules = {**PAIR_RULES, **THOUGHT_RULES}
        _list("rejected", report.rejects, rules)
        _list("no answer", report.failures, report.examples)
        _list("left out", getattr(report, "left_out", {}), {})
        usage = report.usage
        guess = f" ({usage.estimated:,} answers were not counted)" if usage.estimated else ""
        cost = f", cost {usage.cost:.4f}" if usage.cost else ""
        note(
            f"{usage.sent:,} requests answered, {usage.cached:,} from the cache, {usage.retried:,} "
            f"tried again; {usage.prompt_tokens:,} tokens in, {usage.completion_tokens:,} out"
            f"{cost}{guess}"
        )
    if report.stopped:
        written = "what is complete was written" if report.path else "nothing was written"
        fail(
            f"stopped: {report.stopped}; {report.unfinished:,} left, {written}; the answers are in "
            f"{client.cache.path} (raise the budget and run the same command, or add --partial)",
            1,
        )


def _list(title: str, counts: Mapping[str, int], meaning: Mapping[str, str]) -> None:
    for name, number in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])):
        says = f"  {one_line(meaning[name])}" if name in meaning else ""
        note(f"  {title:<10} {number:>7,}  {name}{says}")
