"""Facts about cities whose name is one token: where a city's country, continent and language are.

    answer = the attribute that the prompt asks for, of the city that it names; nothing where it asks for none

The questions of ``ravel`` for small models: well-known cities alone, and only those whose name the model reads as one
token, so that a swap at the city exchanges the whole of it. Of a name in several tokens the last one holds a part, and
the rest of the base's name stays. Languages are those of countries, as in ``ravel``.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from engines.language import ravel
from engines.prompting import Prompted, Protocol, Row

NAMES = """
Shanghai Beijing Istanbul Mumbai Delhi Moscow Seoul Tokyo Cairo Johannesburg London Lima Baghdad Tehran
Hyderabad Sydney Melbourne Alexandria Santiago Kabul Nairobi Dubai Berlin Madrid Toronto Brisbane Chicago Perth
Rome Houston Havana Paris Hamburg Montreal Budapest Warsaw Vienna Barcelona Manila Damascus Auckland Stockholm
Munich Adelaide Milan Calgary Prague Birmingham Copenhagen Sofia Oslo Dublin Brussels Ottawa Edmonton Jerusalem
Naples
"""
KNOWN = frozenset(NAMES.split())
"""Of the largest cities those with short names."""
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
    generate=generate,
)
