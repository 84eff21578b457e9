"""Run by an interpreter with vLLM: logarithms of next-token probabilities of checkpoints.

    python logprobs.py IDS.json CHECKPOINT ...

IDS.json is a list of prompts, each a list of token ids; beside each checkpoint appears NAME.json, a
list of as many numbers as the vocabulary has rows for each prompt, or what went wrong as text.
NVFP4 is multiplied by vLLM's own emulation, which it does not offer on CPUs by itself.
"""

import json
import os
import sys
from pathlib import Path

os.environ.update(
    VLLM_ENABLE_V1_MULTIPROCESSING="0",
    VLLM_CPU_KVCACHE_SPACE="1",
    HF_HUB_OFFLINE="1",
    VLLM_NO_USAGE_STATS="1",
    VLLM_CPU_OMP_THREADS_BIND="nobind",
)


def offer_emulation() -> None:
    """Let a CPU multiply NVFP4 as vLLM's fallback for old GPUs does."""
    from vllm.model_executor.kernels import linear
    from vllm.platforms import PlatformEnum

    linear._POSSIBLE_NVFP4_KERNELS[PlatformEnum.CPU] = [linear.EmulationNvFp4LinearKernel]


def logprobs(folder: Path, prompts: list[list[int]]) -> list[list[float]]:
    """One row per prompt."""
    from vllm import LLM, SamplingParams
    from vllm.distributed import cleanup_dist_env_and_memory

    vocab = json.loads((folder / "config.json").read_text())["vocab_size"]
    llm = LLM(
        model=str(folder),
        skip_tokenizer_init=True,
        enforce_eager=True,
        dtype="bfloat16",
        max_model_len=256,
        max_num_seqs=4,
        max_logprobs=vocab,
        enable_prefix_caching=False,
    )
    params = SamplingParams(temperature=0.0, max_tokens=1, logprobs=vocab, detokenize=False)
    rows = []
    for answer in llm.generate([{"prompt_token_ids": p} for p in prompts], params):
        found = answer.outputs[0].logprobs[0]
        rows.append([found[i].logprob for i in range(vocab)])
    del llm
    cleanup_dist_env_and_memory()
    return rows


def main() -> None:
    """Command line."""
    ids, *folders = (Path(word) for word in sys.argv[1:])
    prompts = json.loads(ids.read_text())
    offer_emulation()
    for folder in folders:
        try:
            result = logprobs(folder, prompts)
        except Exception as error:  # an engine's refusal is an outcome, like its numbers
            result = f"{type(error).__name__}: {error}"
        folder.with_suffix(".json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
