"""Wordings of questions about tables. Our own.

Source: data synthesis specification, sections 6 and 17.
"""

from __future__ import annotations

from nanovl.synth.asking import Bank

__all__ = ["BANK"]

BANK: Bank = {
    "lookup": (
        "what is {column} of {row}?",
        "look up {column} for {row}.",
        "which value does the table give for {row} in {column}?",
        "read {column} of {row} from the table.",
        "for {row}, what is listed as {column}?",
        "find {column} in the row of {row}.",
        "what does the table say about {column} of {row}?",
        "state the entry of {row} under {column}.",
    ),
    "reverse": (
        "which {corner} has {column} equal to {value}?",
        "for which {corner} does {column} read {value}?",
        "find the {corner} whose {column} is {value}.",
        "{value} is {column} of which {corner}?",
        "name the {corner} with {value} in {column}.",
        "to which {corner} does the entry {value} in {column} belong?",
    ),
    "argmax": (
        "which {corner} has the highest {column}?",
        "name the {corner} with the largest value of {column}.",
        "what {corner} leads in {column}?",
        "find the {corner} where {column} is greatest.",
        "which {corner} comes first by {column}?",
    ),
    "argmin": (
        "which {corner} has the lowest {column}?",
        "name the {corner} with the smallest value of {column}.",
        "what {corner} comes last in {column}?",
        "find the {corner} where {column} is least.",
        "which {corner} shows the minimum of {column}?",
    ),
    "max": (
        "what is the highest value of {column}?",
        "give the maximum of {column}.",
        "how large is the largest entry in {column}?",
        "find the greatest value in {column}.",
    ),
    "min": (
        "what is the lowest value of {column}?",
        "give the minimum of {column}.",
        "how large is the smallest entry in {column}?",
        "find the least value in {column}.",
    ),
    "sum": (
        "what is the sum of {column} of {rows}?",
        "add up {column} of {rows}.",
        "what do {rows} have together in {column}?",
        "compute the total of {column} for {rows}.",
        "how much is {column} of {rows} combined?",
    ),
    "sum-all": (
        "what is the sum of {column} over all rows{scope}?",
        "add up all values of {column}{scope}.",
        "compute the total of {column}{scope}.",
        "how much is {column} in all{scope}?",
    ),
    "mean": (
        "what is the average of {column}{scope}? Round to {decimals}.",
        "compute the mean of {column}{scope}, rounded to {decimals}.",
        "how large is {column} on average{scope}? Round to {decimals}.",
        "give the mean value of {column}{scope} (rounded to {decimals}).",
    ),
    "difference": (
        "by how much do {first} and {second} differ in {column}?",
        "what is the difference in {column} between {first} and {second}?",
        "how far apart are {first} and {second} in {column}?",
        "compute the gap between {first} and {second} in {column}.",
        "how much higher or lower is {column} of {first} than that of {second}, in absolute terms?",
    ),
    "ratio": (
        "how many times as large is {column} of {first} as that of {second}? Round to two "
        "decimals.",
        "divide {column} of {first} by {column} of {second}; round to two decimals.",
        "what is the ratio of {column} of {first} to that of {second}, to two decimals?",
        "compute {column} of {first} over {column} of {second} (two decimals).",
    ),
    "change": (
        "by how many percent does {second} differ from {first} for {row}? Round to one decimal; "
        "a decrease is negative.",
        "for {row}, what is the percentage change from {first} to {second} (one decimal, negative "
        "for a decrease)?",
        "compute the percentage change from {first} to {second} of {row}, to one decimal, with "
        "a minus sign for a decrease.",
        "how much did the value of {row} change from {first} to {second}, in percent with one "
        "decimal (negative if it fell)?",
    ),
    "count": (
        "how many rows have {column} {sign} {value}?",
        "count the {corner} entries with {column} {sign} {value}.",
        "in how many rows is {column} {sign} {value}?",
        "what is the number of rows where {column} is {sign} {value}?",
        "for how many of the rows does {column} come out {sign} {value}?",
    ),
    "compare": (
        "is {column} of {first} higher than that of {second}?",
        "does {first} have a larger {column} than {second}?",
        "comparing {column}, is {first} ahead of {second}?",
        "is the value of {first} greater than that of {second} in {column}?",
        "does {column} of {first} exceed {column} of {second}?",
    ),
    "top": (
        "name the {count} rows with the highest {column}, largest first.",
        "list the top {count} by {column} in descending order.",
        "which {count} come first in {column}? Begin with the highest.",
        "sort by {column}, largest first, and give the first {count}.",
    ),
    "unit": (
        "in which unit is {column} given?",
        "what is the unit of {column}?",
        "which unit do the values of {column} have?",
        "{column} is measured in what unit?",
    ),
    "header": (
        "under which column header does the entry {value} of {row} stand?",
        "the row of {row} holds {value}: in which column?",
        "name the column in which {row} has {value}.",
        "which column header belongs to {value} in the row of {row}?",
    ),
    "rows": (
        "how many rows does the table have, not counting header rows?",
        "count the rows below the header.",
        "what is the number of body rows of the table?",
        "apart from the header, how many rows are there?",
    ),
    "columns": (
        "how many columns does the table have?",
        "count the columns of the table, row headers included.",
        "what is the number of columns, with those of the row headers?",
        "of how many columns does the table consist?",
    ),
    "span": (
        "how many columns does the header {name} span?",
        "over how many columns does the heading {name} reach?",
        "the header {name} covers how many columns?",
        "count the columns below the header {name}.",
    ),
    "section": (
        "in which section of the table is {row}?",
        "under which group title does {row} stand?",
        "to which group does the table assign {row}?",
        "name the group that {row} belongs to.",
    ),
    "perhaps": (
        'say "{answer}" if the table does not tell.',
        'if there is no entry, answer "{answer}".',
        'where nothing is listed, reply "{answer}".',
        'an empty cell means "{answer}".',
    ),
    "box": (
        "where in the picture is {column} of {row}? Give a box.",
        "mark the cell with {column} of {row} by a bounding box.",
        "give the bounding box of the entry of {row} under {column}.",
        "locate the cell of {row} and {column}; answer with a box.",
        "which box encloses {column} of {row}?",
        "draw a box around the value of {row} in {column}.",
        "box the cell for {row}, {column}.",
        "point out with a box where {column} of {row} stands.",
    ),
    "at-box": (
        "what does the cell at {box} say?",
        "read the table cell in {box}.",
        "which entry stands in {box}?",
        "give the content of the cell at {box}.",
        "what text is inside {box}?",
        "transcribe the cell in the region {box}.",
        "tell me what is written at {box}.",
        "what is the entry in the box {box}?",
    ),
    "write": (
        "convert the table to {form}.",
        "transcribe this table as {form}.",
        "write the table in {form}.",
        "give the {form} of the table in the picture.",
        "turn the shown table into {form}.",
        "reproduce the table as {form}.",
        "extract the table in {form} form.",
        "return the table's content as {form}.",
    ),
    "title": (
        "what is the caption of the table?",
        "read the caption of the table.",
        "which caption does the table have?",
        "give the table's caption.",
    ),
    "story": (
        "a shop orders {count} of the item {row} at {column} shown. What does the order cost?",
        "someone buys {count} pieces of {row}. What is paid in total at {column} shown?",
        "at {column} listed for {row}, how much do {count} of them cost?",
        "{count} units of {row} are sold at {column} shown. How much money is that?",
    ),
    "story-total": (
        "{first} and {second} are put together, and then {column} is cut by {part}. What remains?",
        "add {column} of {first} and {second}, then take away {part}. What is left?",
        "taken together, {first} and {second} lose {part} in {column}. What is the new value?",
        "from the sum of {column} of {first} and {second}, {part} is removed. How much is left?",
    ),
}
