"""Facts about cities whose name is one token: where a city's country, continent and language are.

    answer = the attribute that the prompt asks for, of the city that it names; nothing where it asks for none

The questions of ``ravel`` for small models. A swap at a name of several tokens exchanges a part of it, and one at a
city that the model does not know brings no fact along. So only cities are used whose name the model reads as one token,
and of which it tells all three facts when asked. Languages are those of countries, as in ``ravel``.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from engines.causal import Setting
from engines.language import ravel
from engines.prompting import Prompted, Protocol, Row

NAMES = """
Shanghai Beijing Istanbul Moscow Seoul Tokyo Cairo London Lima Baghdad Tehran Sydney Melbourne Alexandria
Santiago Kabul Dubai Berlin Madrid Toronto Brisbane Chicago Perth Rome Houston Havana Paris Hamburg Budapest
Warsaw Vienna Barcelona Manila Damascus Auckland Stockholm Munich Adelaide Milan Calgary Prague Birmingham
Copenhagen Sofia Oslo Dublin Ottawa Edmonton Jerusalem Naples
"""
KNOWN = frozenset(NAMES.split())
"""Of the largest cities those with short names, but for some where not the first language of the country is spoken."""
TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "Country": (
        *ravel.TEMPLATES["Country"],
        "The flag above {city} is that of the country of",
        "The government of {city} is that of the country of",
    ),
    "Continent": (
        *ravel.TEMPLATES["Continent"],
        "The map shows {city} on the continent of",
        "The mountains near {city} are on the continent of",
    ),
    "Language": (
        *ravel.TEMPLATES["Language"],
        "Most of the people in {city} speak",
        "The people of {city} speak",
    ),
}


def generate(rng: np.random.Generator) -> Iterator[Row]:
    """Rows that ask about well-known cities."""
    return ravel.questions(rng, [city for city in ravel.cities() if city["entity"] in KNOWN], TEMPLATES)


def facts(run: Setting) -> tuple[Setting, ...]:
    """The prompts that ask for the three facts of a run's city, as runs."""
    own = {name: run[name] for name in ("entity", *(f"own_{each}" for each in ravel.ATTRIBUTES))}
    prompts = {each: TEMPLATES[each][0].format(city=run["entity"]) for each in ravel.ATTRIBUTES}
    return tuple(ravel.CAUSAL.run({**own, "queried": each, "prompt": prompt}) for each, prompt in prompts.items())


SETS = ("attribute", "wikipedia")
TASK = Prompted(
    name="cities",
    summary="Say a well-known city's country, continent or language: the city's name is one token.",
    variables=("Country", "Continent", "Language"),
    models={"smollm2": "SmolLM2-135M-Instruct, from a package", "gpt2": "GPT-2 small", "qwen2.5": "Qwen2.5-0.5B"},
    mib="",
    hub=None,
    causal=ravel.CAUSAL,
    sets=SETS,
    read=ravel.read,
    source=lambda row, _base: ravel.read(row),
    places={"city": ravel.entity},
    answer=ravel.answer,
    protocols={"paper": Protocol("paper", SETS, None, asks=lambda base: str(base["queried"]))},
    unsplit=("city",),
    assumes=facts,
    generate=generate,
)
