"""Wordings of requests, questions back and closing words in tool dialogues. Data only.

Source: data synthesis specification, section 16; the wordings are our own.
"""

from __future__ import annotations

__all__ = [
    "ASK_BACK",
    "BUSY",
    "DIRECT",
    "FRAMES",
    "JOINS",
    "NO_TOOL",
    "SUPPLY",
    "SYSTEMS",
    "THEN",
    "UNKNOWN_ID",
    "VAGUE",
]

FRAMES = (
    "Please {core}.",
    "Can you {core}?",
    "Could you {core}, please?",
    "I would like you to {core}.",
    "{Core}.",
    "{Core}, please.",
    "Would you {core}?",
    "I need you to {core}.",
    "Hi! Please {core}.",
    "My next task for you: {core}.",
)
JOINS = ("{a}, and also {b}", "{a} and {b}", "{a}; besides that, {b}", "{a}, and in addition {b}")
THEN = (
    "{a}, then {b}",
    "{a} and after that {b}",
    "{a}; with the result, {b}",
    "{a}, and when you have found it, {b}",
)
SYSTEMS = (
    "",
    "",
    "You are a helpful assistant with access to functions.",
    "Use the functions when they help, and answer briefly.",
    "You work for a service desk. Call functions as needed.",
    "Answer the user; call functions for facts you do not know.",
)
VAGUE = (
    "I want to {wish}.",
    "Please {wish}.",
    "Can you help me to {wish}?",
    "I have to {wish}. Can you do that?",
    "Would you {wish} for me?",
)
ASK_BACK = (
    "To {wish}, I need: {missing}. Could you tell me?",
    "I can do that. Please give me {missing}.",
    "Before I can {wish}, please tell me {missing}.",
    "Happy to help. What should I use for {missing}?",
)
SUPPLY = (
    "Sure: {values}.",
    "{values}.",
    "Here you are: {values}.",
    "Oh, right. {values}.",
)
NO_TOOL = (
    "I cannot {wish}: none of my functions does that.",
    "Sorry, I have no function to {wish}.",
    "That is not possible with my functions; there is none to {wish}.",
    "I am not able to {wish} here. My functions are for other things.",
)
BUSY = (
    "service busy, try again",
    "temporarily unavailable, please retry",
    "timeout, try once more",
)
UNKNOWN_ID = (
    "There is no record with the id {id}. Please check the id.",
    "I could not find {id}. Is the id right?",
    "The id {id} is not known, so nothing was changed.",
    "Nothing was done: {id} does not exist. Could you look up the right id?",
)
DIRECT = (
    ("What is {a} plus {b}?", "{a} plus {b} is {sum}."),
    ("How many days does a week have?", "A week has seven days."),
    ("Spell the word 'harbour' backwards.", "Backwards it is 'ruobrah'."),
    ("Thank you, that was all.", "You are welcome!"),
    ("Which comes first in the alphabet, K or Q?", "K comes first."),
    ("How many minutes are {a} hours?", "{a} hours are {minutes} minutes."),
)
