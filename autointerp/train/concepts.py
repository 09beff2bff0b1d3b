"""The concepts that `planted` tries: a sentence a person would write, and the tokens that it is true of.

A concept is a predicate on the token's text, over the whole vocabulary, so that its sentence is exactly true. Where a
sentence ends in a colon, `planted` adds the words that are single tokens of the trained vocabulary.
"""

import re
from collections.abc import Callable, Collection

Predicate = Callable[[str], bool]


def exactly(text: str) -> Predicate:
    return lambda token: token == text


def word_of(words: Collection[str]) -> Predicate:
    """One of the words, whole, with or without the space before it."""
    wanted = frozenset(words)
    return lambda token: token.removeprefix(" ") in wanted


def matches(pattern: str) -> Predicate:
    compiled = re.compile(pattern)
    return lambda token: compiled.fullmatch(token) is not None


def prose_word(words: str) -> Predicate:
    """One of the words with a space before it, or capitalised at a line's start: never a part of a longer word."""
    forms = {f" {form}" for word in words.split() for form in (word, word.capitalize())}
    wanted = forms | {word.capitalize() for word in words.split() if len(word) > 1}
    return lambda token: token in wanted


SINGLE_WORDS = {
    "return": " return", "import": "import", "self": " self", "def": " def", "class": "class", "the": " the",
    "of": " of", "and": " and", "is": " is", "if": " if", "for": " for", "in": " in", "to": " to", "not": " not",
    "with": " with", "from": " from", "None": " None", "raise": " raise", "assertEqual": "assertEqual",
}  # fmt: skip

CONCEPTS: dict[str, Predicate] = (
    {
        f"The {'token' if text[0] != ' ' else 'word'} `{name}`"
        + (" with a space before it." if text[0] == " " else " without a space before it."): exactly(text)
        for name, text in SINGLE_WORDS.items()
    }
    | {
        "A full stop standing alone.": exactly("."),
        "A comma standing alone, without a space.": exactly(","),
        "An opening parenthesis standing alone, without a space.": exactly("("),
        "A single line break and nothing else.": exactly("\n"),
        "An equals sign between spaces: the assignment ` =`.": exactly(" ="),
        "A single digit.": matches(r" ?\d"),
        "Two-digit or longer numbers.": matches(r" ?\d\d+"),
        "Comparison operators such as `==`, `!=`, `<` and `>=`.": word_of(["==", "!=", "<", ">", "<=", ">="]),
        "Arithmetic operators:": word_of(["+", "-", "/", "%"]),
        "Opening brackets, one or more and nothing else.": matches(r" ?[(\[{]+"),
        "Closing brackets, one or more and nothing else.": matches(r" ?[)\]}]+"),
        "Square brackets and nothing else.": matches(r" ?[\[\]]+"),
        "Curly braces and nothing else.": matches(r" ?[{}]+"),
        "Double quotes, one or more and nothing else (docstring quotes too).": matches(r' ?"+'),
        "Single quotes, one or more and nothing else.": matches(r" ?'+"),
        "Backticks and nothing else, as in reStructuredText.": matches(r" ?`+"),
        "Asterisks and nothing else.": matches(r" ?\*+"),
        "Colons and nothing else.": matches(r" ?:+"),
        "Hash signs: the start of a comment.": matches(r" ?#+"),
        "Runs of two or more hyphens, equals signs or tildes: rules and underlines of headings.": matches(
            r" ?(-{2,}|={3,}|~{2,})"
        ),
        "Two or more full stops: an ellipsis.": matches(r" ?\.{2,}"),
        "Underscores and nothing else.": matches(r" ?_+"),
        "Spaces only: indentation.": matches(r" +"),
        "A line break followed by spaces, or several line breaks, and nothing else.": matches(r"\n\s+"),
        "Python keywords that open a loop or a branch:": word_of(["if", "elif", "else", "for", "while"]),
        "Keywords of exception handling:": word_of(["try", "except", "finally", "raise"]),
        "Logical operators:": word_of(["and", "or", "not"]),
        "Keywords that define something:": word_of(["def", "class", "lambda"]),
        "The constants True, False and None.": word_of(["True", "False", "None"]),
        "The names self and cls, by which a method knows its object.": word_of(["self", "cls"]),
        "Names of built-in types:": word_of(
            ["int", "str", "list", "dict", "tuple", "set", "bool", "float", "bytes", "object"]
        ),
        "Names of built-in functions:": word_of(
            ["len", "print", "range", "isinstance", "getattr", "open", "repr", "type", "super", "iter"]
        ),
        "Method names of unit tests that start with assert.": matches(r" ?assert\w+"),
        "Modal verbs:": prose_word("can could may might must shall should will would"),
        "Articles, capitalised or not:": prose_word("a an the"),
        "Personal pronouns:": prose_word("I you he she it we they them us"),
        "Possessives:": prose_word("its their your our his her my"),
        "Demonstratives:": prose_word("this that these those"),
        "Prepositions of place and direction:": prose_word("in on at by to from into over under of"),
        "Question and relative words:": prose_word("what which who when where why how"),
        "Conjunctions that give a reason or a condition:": prose_word("because since if unless although while whether"),
        "Forms of the verb to be:": prose_word("is are was were be been being"),
        "Forms of the verb to have:": prose_word("have has had having"),
        "Forms of the verb to do:": prose_word("do does did done doing"),
        "Forms of the verb to return:": prose_word("return returns returned returning"),
        "Negations:": prose_word("not no never cannot without"),
        "Number words:": prose_word("zero one two three four five first second third"),
        "Quantifiers:": prose_word("all any some each every many both most"),
        "Adverbs of time:": prose_word("now then always already before after later once"),
        "Words about files and paths:": prose_word("file files path paths directory directories filename filenames"),
        "Words about text:": prose_word("string strings text character characters line lines word words"),
        "Words about callables:": prose_word(
            "function functions method methods argument arguments parameter parameters"
        ),
        "Words about errors:": prose_word("error errors exception exceptions warning warnings"),
        "Roles of reStructuredText:": word_of(["meth", "func", "attr", "exc", "ref"]),
        "A single capital letter.": matches(r" ?[A-Z]"),
        "Words in capitals only, three letters or more.": matches(r" ?[A-Z]{3,}"),
        "The single letters x, y and z.": word_of(["x", "y", "z"]),
        "The single letters i, j, k and n, the names of counters.": word_of(["i", "j", "k", "n"]),
    }
    | {
        f"Capitalised words or parts of words that begin with {letter}.": matches(rf" ?{letter}[a-z]+")
        for letter in "ABCEFMOPSTUW"
    }
)
