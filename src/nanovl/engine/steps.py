"""The books of all sequences, and one step of work on them.

A step ends what was given up, gives slots to waiting sequences, encodes some tiles and computes one
pass. Not thread-safe: `Engine` sees to it that one thread at a time makes steps.

Source: serving specification, sections 7.2 to 7.7.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from nanovl.core.errors import CapacityError, DeadlineError, InputError, NanoVLError
from nanovl.core.events import Event
from nanovl.core.generation import Delta, FinishReason
from nanovl.core.inputs import ProcessedInputs
from nanovl.core.layout import relay_videos
from nanovl.engine.prefix_cache import Keys, PrefixCache, prompt_keys, prompt_marks
from nanovl.engine.runner import Captures, Runner, choose_each, missing
from nanovl.engine.scheduler import by_turn, split_prompts, victim
from nanovl.engine.sequence import Codec, Sequence
from nanovl.engine.task import Task
from nanovl.model.cache import BLOCK, LayerStates, Snapshot
from nanovl.ops.sampling import token_logprobs

__all__ = ["Steps"]

log = logging.getLogger(__name__)

# Blocks are taken for so many tokens ahead while there are plenty, to keep sequences in one run.
_AHEAD = 256
# Tiles encoded per step: few while others are answering, so that they are not held up.
_TILES_BETWEEN, _TILES_ALONE = 4, 16


class Steps:
    """Waiting and running sequences.

    Args:
        runner: Model, cache and encoded media.
        prefix: Where prompts may begin.
        codec: Tokenizer.
        budget: Tokens of one pass.
        turn_ids: Ids that begin a turn.

    Attributes:
        waiting, running: Sequences without and with a slot.
        openers: Threads that open media; None opens them here.
        counts: Counters of `EngineStats`.
    """

    def __init__(
        self,
        runner: Runner,
        prefix: PrefixCache,
        *,
        codec: Codec,
        budget: int,
        turn_ids: frozenset[int],
    ) -> None:
        self.runner = runner
        self.cache = runner.cache
        self.media = runner.media
        self.prefix = prefix
        self.codec = codec
        self.budget = budget
        self.turn_ids = turn_ids
        self.waiting: list[Task] = []
        self.running: list[Task] = []
        self.openers: ThreadPoolExecutor | None = None
        self.counts = dict.fromkeys(
            (
                "prompt_tokens",
                "cached_tokens",
                "generation_tokens",
                "reasoning_tokens",
                "evs_tokens_dropped",
                "preemptions",
                "budgets_forced",
                "steps",
            ),
            0,
        )
        self.sizes: dict[int, int] = {}  # steps by their tokens

    @torch.no_grad()
    def step(self) -> bool:
        """Some progress; False if there was nothing to do."""
        self.collect()
        self._admit()
        encoded = self._encode()
        computed = self._compute()
        return encoded or computed

    # --- ends -----------------------------------------------------------------------------------

    def collect(self) -> None:
        """End what was cancelled or ran out of time."""
        now = time.perf_counter()
        for task in [*self.waiting, *self.running]:
            deadline = task.request.deadline
            if task.stream.done:
                continue
            if task.cancelled:
                self._end(task, "cancelled")
            elif deadline is not None and now >= deadline:
                if task.sequence.ids:
                    self._end(task, "length", "timeout")
                else:
                    self._fail(task, DeadlineError("the time for this request is over"))

    def abandon(self, error: Exception) -> None:
        """Give up everything."""
        for task in [*self.waiting, *self.running]:
            if not task.stream.done:
                self._fail(task, error)

    def _end(self, task: Task, finish: FinishReason, reason: str | None = None) -> None:
        """End an answer, and those of the same request that have not begun."""
        unborn = 0 if task.sequence.ids else task.request.sampling.n - 1
        self._retire(task)
        self._deliver(task, task.sequence.end(finish, reason))
        for index in range(1, unborn + 1):
            twin = self._twin(task, index)
            self._deliver(twin, twin.sequence.end(finish, reason))

    def _fail(self, task: Task, error: Exception) -> None:
        """Give up a request with all of its answers."""
        for other in [*self.waiting, *self.running]:
            if other.stream is task.stream:
                self._retire(other)
        task.stream.fail(error)

    def _retire(self, task: Task) -> None:
        """Take a sequence out of the books."""
        if task in self.waiting:
            self.waiting.remove(task)
        if task in self.running:
            self.running.remove(task)
            self.cache.reset(task.slot)
        if task.loading is not None:
            task.loading.cancel()
        task.forget()

    def _deliver(self, task: Task, delta: Delta) -> None:
        if delta.generation is not None:
            usage = delta.generation.usage
            if task.sequence.index == 0:
                self.counts["prompt_tokens"] += usage.prompt_tokens
                self.counts["cached_tokens"] += usage.cached_tokens
            self.counts["generation_tokens"] += usage.completion_tokens
            self.counts["reasoning_tokens"] += usage.reasoning_tokens
            self.counts["budgets_forced"] += int(task.sequence.was_forced)
        task.stream.put(delta)

    # --- into slots -----------------------------------------------------------------------------

    def _admit(self) -> None:
        """Give slots to waiting sequences whose media are there."""
        for task in by_turn(self.waiting, self.running):
            if task not in self.waiting:  # given up with another one
                continue
            try:
                ready = self._prepare(task)
            except NanoVLError as error:
                self._fail(task, error)
                continue
            except Exception as error:  # a broken decoder must not end the others
                log.exception("%s: media could not be opened", task.stream.id)
                self._fail(task, InputError(f"media could not be opened ({type(error).__name__})"))
                continue
            if not ready:
                continue
            answers = 1 if task.sequence.ids else task.request.sampling.n
            if answers > self.cache.num_slots - len(self.running) - self._promised():
                return
            if not self._begin(task):
                return

    def _promised(self) -> int:
        """Slots that further answers of running prompts will need."""
        return sum(
            t.request.sampling.n - 1
            for t in self.running
            if not t.sequence.ids and t.sequence.index == 0
        )

    def _prepare(self, task: Task) -> bool:
        """Open the media of a sequence if it needs them; whether nothing is missing any more.

        Raises:
            Exception: They cannot be opened.
        """
        if task.inputs is not None or not task.request.layout.spans:
            return True
        if task.loading is None:
            self._look_up(task)
            if all(self.media.get(task.names[i]) is not None for i in missing(task)):
                return True
            if self.openers is None:
                task.inputs = _open(task)
                return True
            if sum(t.loading is not None for t in self.waiting) < self.cache.num_slots:
                task.loading = self.openers.submit(_open, task)
            return False
        if not task.loading.done():
            return False
        task.inputs, task.loading = task.loading.result(), None
        return True

    def _look_up(self, task: Task) -> Snapshot | None:
        """The snapshot a sequence can begin at; sets how many tokens it saves."""
        layout, names = task.request.layout, list(task.names)
        counts = {}
        for number, span in enumerate(layout.spans):
            if span.is_pruned:
                kept = self.media.counts(names[number])
                if kept is None:
                    names[number] = None  # where its tokens lie is not known before it is encoded
                else:
                    counts[number] = kept
        task.keys = prompt_keys(relay_videos(layout, counts), names)
        wants_all = task.request.sampling.prompt_logprobs is not None
        fed = self._fed(task, task.target)
        snapshot = None if wants_all else self.prefix.find(fed, task.request.cache_salt)
        task.computed = 0 if snapshot is None else snapshot.length
        return snapshot

    def _fed(self, task: Task, tokens: int) -> Keys:
        """Numbers of the first tokens of prompt and answer."""
        assert task.keys is not None
        if tokens <= len(task.keys):
            return task.keys[:tokens]
        answer = np.array(task.sequence.ids[: tokens - len(task.keys)], dtype=np.int64)
        return np.concatenate([task.keys, answer])

    def _begin(self, task: Task) -> bool:
        """Give a sequence its slot, if there are blocks; whether there were."""
        snapshot = self._look_up(task)
        layout = task.request.layout
        task.encoded = {}
        for number in missing(task):
            found = self.media.get(task.names[number])
            if found is not None:
                task.encoded[number] = found
        if missing(task) and task.inputs is None:
            return True  # forgotten meanwhile: it is opened in the next step
        shared = task.computed // BLOCK
        needed = -(-(task.target + 1) // BLOCK) - shared
        # Others can still grow a little: otherwise the new one would soon be sent back.
        spare = len(self.running) if self.running else 0
        if not self._free_blocks(needed + spare, snapshot) and (
            self.running or not self._free_blocks(needed, snapshot)
        ):
            if not self.running:
                self._fail(task, CapacityError("the attention cache is too small for the prompt"))
            return False
        used = {t.slot for t in self.running}
        task.slot = next(s for s in range(self.cache.num_slots) if s not in used)
        if snapshot is not None:
            self.cache.restore(task.slot, snapshot)
        self.cache.reserve(task.slot, task.target + 1)
        task.marks = prompt_marks(layout, self.turn_ids)
        task.phase = "encode"
        sequence, timings = task.sequence, task.sequence.timings
        if not sequence.ids:
            sequence.cached_tokens = task.computed
            self.prefix.queries += task.prompt_tokens
            self.prefix.hits += task.computed
            self.media.queries += len(layout.spans)
            self.media.hits += len(layout.spans) - len(missing(task))
            timings["queue_s"] = time.perf_counter() - task.submitted_at - timings.get("media_s", 0)
            self.counts["evs_tokens_dropped"] += sum(
                span.tiles * span.tokens_per_tile - span.num_tokens for span in layout.spans
            )
        self.waiting.remove(task)
        self.running.append(task)
        return True

    def _free_blocks(self, count: int, keep: Snapshot | None = None) -> bool:
        """Have so many blocks free, dropping snapshots if needed."""
        while self.cache.blocks.free < count:
            if not self.prefix.drop_oldest(keep):
                return False
        return True

    # --- pictures -------------------------------------------------------------------------------

    def _encode(self) -> bool:
        """Some tiles of sequences whose turn it is."""
        answering = any(task.phase == "decode" for task in self.running)
        left = _TILES_BETWEEN if answering else _TILES_ALONE
        worked = False
        for task in [t for t in self.running if t.phase == "encode"]:
            started = time.perf_counter()
            done = False
            try:
                while left > 0 and not done:
                    count = self.runner.encode(task, left)
                    left -= count
                    done = not count
                if done:
                    self.runner.fill(task)
                    self._look_again(task)
                    task.phase = "prefill"
            except NanoVLError as error:
                self._fail(task, error)
            except (RuntimeError, MemoryError) as error:
                self._fail(task, _out_of_memory(error))
            worked = True
            timings = task.sequence.timings
            timings["encode_s"] = timings.get("encode_s", 0.0) + time.perf_counter() - started
        return worked

    def _look_again(self, task: Task) -> None:
        """Number a prompt whose pruned videos are known only now."""
        counts = {
            i: self.media.counts(task.names[i])
            for i, span in enumerate(task.request.layout.spans)
            if span.is_pruned
        }
        if counts and all(kept is not None for kept in counts.values()):
            layout = relay_videos(task.request.layout, counts)  # type: ignore[arg-type]
            task.keys = prompt_keys(layout, task.names)

    # --- tokens ---------------------------------------------------------------------------------

    def _compute(self) -> bool:
        """One pass over the sequences that are ready for one."""
        steps = self._pack([t for t in self._room_for_steps() if t.phase == "decode"])
        budget = max(1, self.budget - len(steps))
        prompts = split_prompts([t for t in self.running if t.phase == "prefill"], budget)
        if not steps and not prompts:
            return False
        captures = [self._captures(task, count) for task, count in prompts]
        wanted = list(range(len(steps)))
        at, choosing = len(steps), list(steps)
        scored: list[tuple[Task, int, int]] = []  # prompts whose rows are all wanted, and where
        for task, count in prompts:
            last = task.remaining == count and not task.sequence.ids
            if task.request.sampling.prompt_logprobs is not None and not task.sequence.ids:
                scored.append((task, len(wanted), count - last))
                wanted += range(at, at + count - last)
            at += count
            if last:
                wanted.append(at - 1)
                choosing.append(task)
        started = time.perf_counter()
        try:
            logits = self.runner.forward(steps, prompts, captures, wanted)
        except (RuntimeError, MemoryError) as error:
            for task in [*steps, *(t for t, _ in prompts)]:
                if not task.stream.done:
                    self._fail(task, _out_of_memory(error))
            return True
        self.counts["steps"] += 1
        self.sizes[at] = self.sizes.get(at, 0) + 1
        for task in steps:
            task.computed += 1
        for (task, count), taken in zip(prompts, captures, strict=True):
            self._advance(task, count, taken, started)
        for task, row, count in scored:
            self._score(task, logits[row : row + count])
        if scored:
            inside = {r for _, row, count in scored for r in range(row, row + count)}
            logits = logits[[r for r in range(len(wanted)) if r not in inside]]
        self._choose(logits, choosing)
        return True

    def _room_for_steps(self) -> list[Task]:
        """Running sequences, after those that answer got a place for their next token."""
        for task in [t for t in self.running if t.phase == "decode"]:
            while task in self.running and not self._reserve(task):
                loser = victim(self.running)
                assert loser is not None
                if len(self.running) == 1:  # alone, and the whole cache is not enough
                    self._end(loser, "length")
                else:
                    self._preempt(loser)
        return self.running

    def _reserve(self, task: Task) -> bool:
        """A place for one more token, and for some after it while blocks are plenty."""
        tokens = task.computed + 1
        if not self.cache.missing_blocks(task.slot, tokens):
            return True
        plenty = self.cache.blocks.free > self.cache.blocks.size // 4
        wish = min(tokens + _AHEAD, task.prompt_tokens + task.request.sampling.max_tokens)
        for reach in (wish, tokens) if plenty and wish > tokens else (tokens,):
            missing_blocks = self.cache.missing_blocks(task.slot, reach)
            if missing_blocks <= self.cache.blocks.free:
                self.cache.reserve(task.slot, reach)
                return True
        if not self._free_blocks(self.cache.missing_blocks(task.slot, tokens)):
            return False
        self.cache.reserve(task.slot, tokens)
        return True

    def _preempt(self, task: Task) -> None:
        """Take slot and blocks from a sequence; it is computed again later."""
        log.debug("%s: preempted after %d tokens", task.stream.id, task.computed)
        self.running.remove(task)
        self.cache.reset(task.slot)
        task.forget()
        task.preempted += 1
        self.counts["preemptions"] += 1
        self.waiting.append(task)

    def _pack(self, steps: list[Task]) -> list[Task]:
        """Move answering sequences into the first slots, where they are computed in place."""
        owner = {task.slot: task for task in self.running}
        holes = sorted(set(range(len(steps))) - {task.slot for task in steps})
        for task in steps:
            if task.slot < len(steps):
                continue
            hole, old = holes.pop(), task.slot
            other = owner.get(hole)
            if other is None:
                self.cache.move(old, hole)
            else:
                self.cache.swap(old, hole)
                other.slot, owner[old] = old, other
            task.slot, owner[hole] = hole, task
        return sorted(steps, key=lambda t: t.slot)

    def _captures(self, task: Task, count: int) -> Captures:
        """Places of the next tokens where snapshots are wanted."""
        start, stop = task.computed, task.computed + count
        marks = [m for m in task.marks if start < m <= stop]
        salt = task.request.cache_salt
        return [
            (mark - start, LayerStates())
            for mark in marks
            if self.prefix.wants(self._fed(task, mark), mark, salt)
        ]

    def _advance(self, task: Task, count: int, captures: Captures, started: float) -> None:
        """Count prompt tokens that are in the cache now."""
        timings, start = task.sequence.timings, task.computed
        for offset, states in captures:
            kept = self.cache.keep(task.slot, start + offset, states)
            self.prefix.put(self._fed(task, start + offset), kept, task.request.cache_salt)
        task.computed += count
        timings["prefill_s"] = timings.get("prefill_s", 0.0) + time.perf_counter() - started
        if not task.sequence.ids:
            task.on_event(
                Event(name="prompt", done=task.computed, total=task.prompt_tokens, unit="tokens")
            )
        if not task.remaining:
            task.phase, task.rows = "decode", None

    def _score(self, task: Task, logits: torch.Tensor) -> None:
        """How likely the prompt's own tokens are, from the logits in front of them."""
        known, count = task.sequence.prompt_logprobs, logits.shape[0]
        ids = task.request.layout.input_ids[len(known) + 1 : len(known) + 1 + count]
        top = task.request.sampling.prompt_logprobs or 0
        known += token_logprobs(logits, ids, top, num_tokens=self.codec.size)

    def _choose(self, logits: torch.Tensor, choosing: list[Task]) -> None:
        """The next id of every sequence; further answers to a prompt begin here."""
        rows: list[int] = []
        tasks: list[Task] = []
        for row, task in enumerate(choosing):
            rows.append(row)
            tasks.append(task)
            if not task.sequence.ids and task.sequence.index == 0:
                for index in range(1, task.request.sampling.n):
                    rows.append(row)
                    tasks.append(self._fork(task, index))
        if not tasks:
            return
        if len(rows) > len(choosing):
            logits = logits[rows]
        chosen = choose_each(logits, [t.sequence for t in tasks], self.codec.size)
        for task, token in zip(tasks, chosen, strict=True):
            if task.stream.done:
                continue
            if isinstance(token, NanoVLError):
                self._fail(task, token)
                continue
            try:
                delta = task.sequence.append(*token)
            except NanoVLError as error:
                self._fail(task, error)
                continue
            if task.sequence.is_finished:
                self._remember(task)
                self._retire(task)
            self._deliver(task, delta)

    def _twin(self, task: Task, index: int) -> Task:
        """Another answer to the same prompt."""
        sequence = Sequence(task.request, self.codec, task.sequence.stop_ids, index)
        sequence.timings = dict(task.sequence.timings)
        sequence.cached_tokens = task.sequence.cached_tokens
        sequence.prompt_logprobs = task.sequence.prompt_logprobs
        twin = Task(task.request, sequence, task.stream)
        twin.names, twin.keys, twin.submitted_at = task.names, task.keys, task.submitted_at
        return twin

    def _fork(self, task: Task, index: int) -> Task:
        """Another answer that goes on from where the prompt ends."""
        twin = self._twin(task, index)
        used = {t.slot for t in self.running}
        twin.slot = next(s for s in range(self.cache.num_slots) if s not in used)
        self._free_blocks(1)
        self.cache.copy_slot(task.slot, twin.slot)
        twin.computed, twin.phase = task.computed, "decode"
        self.running.append(twin)
        return twin

    def _remember(self, task: Task) -> None:
        """Keep the end of an answer: the next turn of a conversation begins there."""
        fed, salt = self._fed(task, task.computed), task.request.cache_salt
        if self.prefix.wants(fed, task.computed, salt):
            self.prefix.put(fed, self.cache.snapshot(task.slot), salt)


def _open(task: Task) -> ProcessedInputs:
    started = time.perf_counter()
    inputs = task.request.load()
    task.sequence.timings["media_s"] = time.perf_counter() - started
    return inputs


def _out_of_memory(error: Exception) -> NanoVLError:
    """What a failure of a pass is called."""
    if isinstance(error, MemoryError) or "memory" in str(error).lower():
        return CapacityError(
            "not enough memory for this request; use a shorter prompt, fewer tiles or frames"
        )
    raise error
