"""The rules by name, and their thresholds.

Source: data synthesis specification, section 19.
"""

from __future__ import annotations

from dataclasses import dataclass

from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError

__all__ = ["DROPPING", "RULES", "Finding", "QualityConfig"]

RULES: dict[str, tuple[str, str]] = {
    "ambiguous_question": ("record", "a question that has two answers in one sample"),
    "answer_entropy": ("report", "a kind of question that nearly always has the same answer"),
    "blind_answer": ("report", "a kind of question answered too often without its picture"),
    "blocked": ("sample", "a text of the block list"),
    "box_empty": ("sample", "a box without area in the ground truth"),
    "box_outside": ("sample", "a box outside its picture"),
    "email": ("sample", "an e-mail address at a domain that may be real"),
    "eval_overlap": ("sample", "13 words in a row, or a whole question, of an evaluation file"),
    "exact_duplicate": ("sample", "the same ground truth as an earlier sample"),
    "image_blank": ("sample", "a picture of one colour"),
    "image_contrast": ("sample", "a picture whose darkest and lightest parts hardly differ"),
    "image_duplicate": ("sample", "looks like an earlier picture and says the same"),
    "image_exif": ("sample", "a picture with a camera's metadata"),
    "image_size": ("sample", "a picture of another size than declared, or out of bounds"),
    "image_undecodable": ("sample", "a picture that cannot be decoded"),
    "image_uniform": ("report", "a picture nearly all of which is background"),
    "language": ("sample", "a text in another language than declared"),
    "malformed": ("record", "a line that is no record, or no ground truth"),
    "mcq_position": ("report", "right options that are not spread evenly over the letters"),
    "media_missing": ("sample", "a media file that is not there"),
    "near_duplicate": ("sample", "nearly the text of an earlier sample of the generator"),
    "split_leak": ("sample", "a source that is in another split too"),
    "target_small": ("record", "a box that is asked for and too small to hit"),
    "template_share": ("report", "a wording that makes up too much of a data set"),
    "text_small": ("sample", "text too small to be read"),
    "too_long": ("record", "more tokens than the stage allows"),
    "unusable": ("record", "a record the loader would drop"),
    "verifier_loose": ("report", "a verifier that accepts another sample's answer"),
    "verifier_self": ("record", "a reference answer its own verifier does not accept"),
    "yes_no_band": ("report", "too many answers of yes, or of no"),
}
"""Name -> what goes when it is broken ("sample", "record", "report": nothing), and what it is."""

DROPPING = tuple(name for name, (kind, _) in RULES.items() if kind != "report")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One broken rule.

    Attributes:
        rule: A key of `RULES`.
        dataset: Name.
        sample: Id of the sample (of the record in a plain set); "" concerns the whole set.
        record: Id of the one record that is meant; "" means the sample.
        message: What exactly.
    """

    rule: str
    dataset: str
    sample: str = ""
    record: str = ""
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class QualityConfig:
    """Thresholds.

    Attributes:
        skip: Rules that are not applied.
        model: Whose tokenizer and tiles count: "mini", "tiny", a folder or a repository.
        seq_len: Longest sample in tokens: 16,384, 49,152 or 311,296 by stage.
        jaccard: Similarity of two texts from which one is a near duplicate.
        print_bits: Bits in which the prints of two pictures may differ.
        grams: Words in a row that must not be those of an evaluation file.
        whole_words: Shortest evaluation text that is compared as a whole.
        language_chars: Shortest text whose language is looked at.
        uniform, blank: Share of a picture that may be background.
        contrast: Least ratio of luminances.
        max_side: Longest side of a picture in pixels.
        text_px, target_px: Least height of text, least side of a box that is asked for.
        template_share: Largest share of one wording.
        yes_low, yes_high: Band for the share of yes.
        entropy_bits: Least entropy of the answers of a kind of question.
        balance_least: Answers from which balance, and answers given blindly, are judged.
        blind: Largest share of a kind of question that is answered without its picture.
        blind_options: The same above chance, of questions with options.
        blind_tried: Questions of a kind that are tried.
        block: Files of further patterns (regular expressions, one a line, "#" comments).
    """

    skip: tuple[str, ...] = ()
    model: str = "mini"
    seq_len: int = 16_384
    jaccard: float = 0.85
    print_bits: int = 4
    grams: int = 13
    whole_words: int = 8
    language_chars: int = 200
    uniform: float = 0.95
    blank: float = 0.999
    contrast: float = 2.0
    max_side: int = 16_384
    text_px: float = 7.0
    target_px: float = 8.0
    template_share: float = 0.02
    yes_low: float = 0.45
    yes_high: float = 0.55
    entropy_bits: float = 0.5
    balance_least: int = 100
    blind: float = 0.6
    blind_options: float = 0.2
    blind_tried: int = 250
    block: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.skip:
            if name not in RULES:
                raise ConfigError(f"skip: unknown rule {name!r}{nearest(name, RULES)}")
        if self.seq_len < 1 or self.grams < 1 or not 1 <= self.whole_words <= self.grams:
            raise ConfigError(
                f"seq_len {self.seq_len}, grams {self.grams}, whole_words {self.whole_words}: "
                "expected at least 1, and whole_words at most grams"
            )
        if not 0 < self.jaccard <= 1 or not 0 <= self.yes_low <= self.yes_high <= 1:
            raise ConfigError(
                f"jaccard {self.jaccard}, yes_low {self.yes_low}, yes_high {self.yes_high}: "
                "expected shares from 0 to 1"
            )
        if not 0 < self.blind <= 1 or not 0 < self.blind_options <= 1 or self.blind_tried < 1:
            raise ConfigError(
                f"blind {self.blind}, blind_options {self.blind_options}, blind_tried "
                f"{self.blind_tried}: expected shares from 0 to 1, and at least 1 question"
            )

    def has(self, *rules: str) -> bool:
        """Whether any of some rules is applied."""
        return any(rule not in self.skip for rule in rules)
