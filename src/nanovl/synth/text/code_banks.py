"""Wordings of the questions about code. Data only.

Source: data synthesis specification, section 14; the wordings are our own.
"""

from __future__ import annotations

__all__ = ["BANK", "SOLUTION_TRACES"]

BANK: dict[str, tuple[str, ...]] = {
    "output": (
        "What does this program print?\n\n{code}\n\nAnswer with the exact output.",
        "Give the exact output of the following Python program.\n\n{code}",
        "{code}\n\nWhich text appears on the screen when this runs? Answer with that text only.",
        "Trace this code and state exactly what it prints.\n\n{code}",
        "Run this in your head:\n\n{code}\n\nReply with the printed text and nothing else.",
        "Here is some Python.\n\n{code}\n\nWhat is its output? Write just the output.",
    ),
    "state": (
        "{code}\n\nWhat is the value of `{name}` right after line {line} has run {times}? "
        "Answer with the value.",
        "Look at this program.\n\n{code}\n\nAfter line {line} was executed {times}, what does "
        "`{name}` hold? Give the value only.",
        "Track the variables of this code.\n\n{code}\n\nState the value of `{name}` once line "
        "{line} has been executed {times}.",
        "Lines are counted from 1.\n\n{code}\n\nWhich value has `{name}` directly after line "
        "{line} ran {times}? Reply with it alone.",
        "Follow this program step by step.\n\n{code}\n\nGive `{name}` after line {line} has run "
        "{times}, as Python writes it.",
    ),
    "input": (
        "{code}\n\nFind arguments for which `{entry}` returns {result}. Answer with the call, "
        "such as {entry}(...).",
        "Give one call of `{entry}` whose result is {result}.\n\n{code}\n\nReply with the call "
        "only.",
        "For this function, which call returns {result}? Any right one counts; write it as "
        "{entry}(...).\n\n{code}",
        "Work backwards: `{entry}` returned {result}. Name a call that does this, in the form "
        "{entry}(...).\n\n{code}",
        "Which arguments make this function return {result}? Write the full call.\n\n{code}",
    ),
    "bug_line": (
        "This function should do the following: {statement}\n\n{code}\n\n{call} should return "
        "{right} but returns {wrong}. Which line is wrong? Answer with the line number.",
        "One line of this code has a bug. Task: {statement}\n\n{code}\n\nExpected for {call}: "
        "{right}; got: {wrong}. Give the number of the faulty line.",
        "Find the bug. The function is meant to do this: {statement}\n\n{code}\n\n{call} gives "
        "{wrong} instead of {right}. Reply with the line number alone.",
        "{code}\n\nSpecification: {statement} The call {call} returns {wrong}, though {right} is "
        "right. In which line is the mistake? Number only.",
        "A test fails: {call} == {right} is false, the result is {wrong}. What it should do: "
        "{statement}\n\n{code}\n\nState the number of the line with the error.",
    ),
    "bug_fix": (
        "This function should do the following: {statement}\n\n{code}\n\nLine {line} is wrong: "
        "{call} returns {wrong} instead of {right}. Write the corrected line.",
        "Fix line {line}. Task of the function: {statement}\n\n{code}\n\nFor {call} it gives "
        "{wrong}, but {right} is expected. Reply with the new line only.",
        "The mistake is in line {line}. The function should do this: {statement}\n\n{code}\n\n"
        "({call} must be {right}, it is {wrong}.) How should the line read?",
        "Repair this code by changing line {line} only. It should: {statement}\n\n{code}\n\n"
        "Example: {call} -> {right}, at the moment {wrong}. Give the repaired line.",
        "Correct line {line} of this code so that {call} returns {right} and not {wrong}. "
        "Specification: {statement}\n\n{code}\n\nAnswer with the line.",
    ),
    "fill": (
        "Fill in the gap (____) so that the function does this: {statement}\n\n{code}\n\nAnswer "
        "with what belongs in the gap.",
        "What has to stand at ____? Task: {statement}\n\n{code}\n\nReply with the missing code "
        "only.",
        "Complete the code. It should do the following: {statement}\n\n{code}\n\nGive the text "
        "for ____ and nothing else.",
        "One expression is missing (____). The function is described like this: {statement}\n\n"
        "{code}\n\nWrite the expression.",
        "Replace ____ by the right expression. Specification: {statement}\n\n{code}",
    ),
    "write": (
        "Write a Python function `{head}`. {statement}\n\nExamples:\n{examples}\n\nAnswer with "
        "the code in a ```python block.",
        "{statement} Implement this as `{head}` in Python.\n\n{examples}\n\nReply with one "
        "```python block.",
        "Implement `{head}`.\n\nWhat it does: {statement}\n\nFor example:\n{examples}\n\nGive "
        "the function in a ```python block.",
        "Please code this in Python: `{head}`. {statement}\n\nChecks that must pass:\n{examples}"
        "\n\nPut the code into a ```python block.",
        "I need `{head}` in Python. {statement}\n\nIt should behave like this:\n{examples}\n\n"
        "Answer with a ```python block only.",
    ),
    "program": (
        "Write a Python program for this problem.\n\n{statement}\n\nInput: {input}\nOutput: "
        "{output}\nConstraints: {constraints}\n\n{examples}\n\nAnswer with the whole program in "
        "a ```python block.",
        "Solve with a program that reads standard input.\n\n{statement}\n\nInput format: {input}"
        "\nOutput format: {output}\nLimits: {constraints}\n\n{examples}\n\nGive the program in a "
        "```python block.",
        "Problem. {statement}\n\nYou read: {input}\nYou print: {output}\nBounds: {constraints}"
        "\n\n{examples}\n\nReply with a full program in one ```python block.",
        "Contest task: {statement}\n\nInput. {input}\nOutput. {output}\nConstraints. "
        "{constraints}\n\n{examples}\n\nWrite the complete solution in Python (```python block).",
    ),
    "cost": (
        "How does the running time of this function grow with the size n of its input (for "
        "numbers, n is the number)?\n\n{code}\n\n{options}\nAnswer with the letter.",
        "Choose the time complexity of this code; n is the length of the input or the number "
        "itself.\n\n{code}\n\n{options}\nReply with one letter.",
        "{code}\n\nWhich growth of time fits best (n: length of the list or text, or the number "
        "given)?\n{options}\nLetter only.",
        "State the time complexity of this function by letter. n stands for the size of the "
        "input or for the number.\n\n{code}\n\n{options}",
    ),
}

SOLUTION_TRACES = (
    "The function has to do this: {statement} I write it step by step and try it on the examples.",
    "Plan: keep exactly what the statement asks for. {statement} Then I check the examples.",
    "I start from the examples and the description: {statement}",
    "First I restate it: {statement} A direct solution is enough for these sizes.",
    "A simple loop or rule will do. The goal: {statement}",
)
