"""The cached sweep over all sites against two full runs a site, ours and pyvene's."""

import torch
from bench.naive import Naive
from bench.networks import random_decoder, random_pairs, random_sites
from bench.peer import Peer
from bench.pick import Size, first, ours, pick, plain, sites
from bench.timing import alternate, header, publish
from jaxtyping import Float
from torch import Tensor

from engines.decoder_model import DecoderModel
from engines.evaluation import Sweep, full, sweep
from engines.events import drain
from engines.intervene import replace
from engines.model import Model
from engines.site import Site
from engines.task import Pairs, draw_pairs
from tracr_bridge.task import candidate_sites, drawn, known, model, network

CLAIM = "A full swap at every site: source vectors and layer inputs cached, sites of a layer in one batch."
PROGRAMS = ("reverse", "detect_pattern")
ROUNDS = 3
COMPONENTS = ("attn_out", "mlp_out", "resid_post")
POSITIONS = ("question", "yes", "last")
PAIRS = 32
Case = tuple[str, DecoderModel, Pairs, tuple[Site, ...]]
Outputs = Float[Tensor, "sites pairs answers codes"]


def cached(among: Model, pairs: Pairs, where: tuple[Site, ...]) -> Sweep:
    """The sweep as methods run it."""
    return drain(sweep(among, pairs, full(among, where), {}))[1]


def naive(plainly: Naive, pairs: Pairs, where: tuple[Site, ...]) -> Outputs:
    """For each site the sources in full and the bases in full, all pairs in one batch."""
    whole = torch.arange(pairs.n)
    with torch.no_grad():
        return torch.stack([plainly.patched(pairs, site, replace, whole) for site in where])


def theirs(peer: Peer, pairs: Pairs, where: tuple[Site, ...]) -> Outputs:
    """For each site an intervenable model, run on all pairs in one batch."""
    whole, answers = torch.arange(pairs.n), torch.tensor(pairs.answer.columns)
    with torch.no_grad():
        found = [peer.outputs(peer.swap(site), pairs, site, whole)[:, answers] for site in where]
    return torch.stack(found)[:, :, None]


def trained() -> None:
    """A trained GPT-2: cached, naive behind the same adapter, and pyvene, from one folder of weights."""
    size = Size()
    bridge, library = ours(size), plain(size)
    pairs = first(draw_pairs(pick(), "fit", quota=48, seed=0), PAIRS)
    where = sites(size.layers, COMPONENTS, POSITIONS)
    peer, plainly = Peer(library), Naive(bridge, library.config.vocab_size)
    swept = cached(bridge, pairs, where)
    torch.testing.assert_close(swept.outputs, theirs(peer, pairs, where), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(swept.outputs, naive(plainly, pairs, where), rtol=1e-3, atol=1e-3)
    layers = {"cached": swept.cost.layer_evaluations, "naive": plainly.meter.layer_evaluations, "pyvene": peer.layers}
    timed = alternate(
        {
            "cached": lambda: cached(bridge, pairs, where),
            "naive": lambda: naive(plainly, pairs, where),
            "pyvene": lambda: theirs(peer, pairs, where),
        },
        ROUNDS,
    )
    rows = [
        [
            path,
            len(where),
            pairs.n,
            timed.median(path),
            timed.ratio(path, "cached"),
            count,
            f"{count / layers['cached']:.2f}x",
            timed.peak(path),
        ]
        for path, count in layers.items()
    ]
    columns = ["path", "sites", "pairs", "seconds", "seconds / cached", "layer evaluations", "layers / cached", "MiB"]
    publish("sweep-trained", columns, rows, ("pyvene",))


def cases() -> list[Case]:
    """Compiled programs on the pairs of the exam, and a larger decoder on random prompts."""
    found: list[Case] = []
    for name in PROGRAMS:
        made = network(name)
        found.append((f"compiled {name}", model(made), drawn(known(name), "fit", 0), candidate_sites(made)))
    large = random_decoder(n_layers=8, d_model=128, n_ctx=12, d_vocab=1000)
    where = random_sites(large, ("attn_out", "mlp_out", "resid_post", "result"), ("last",))
    return [*found, (large.name, large, random_pairs(large, 16, seed=1), where)]


def row(case: Case) -> list[object]:
    """Check that both paths agree (which also warms them up), then time them."""
    name, among, pairs, where = case
    plainly = Naive(among, among.decoder.shape.d_vocab_out)
    swept, other = cached(among, pairs, where), naive(plainly, pairs, where)
    layers = plainly.meter.layer_evaluations
    torch.testing.assert_close(swept.outputs, other, rtol=1e-4, atol=1e-4)
    timed = alternate(
        {"cached": lambda: cached(among, pairs, where), "naive": lambda: naive(plainly, pairs, where)}, ROUNDS
    )
    return [
        name,
        len(where),
        pairs.n,
        timed.median("cached"),
        timed.median("naive"),
        timed.ratio("naive", "cached"),
        f"{swept.cost.layer_evaluations:,} / {layers:,}",
        f"{layers / swept.cost.layer_evaluations:.2f}x",
        f"{timed.peak('cached'):.0f} / {timed.peak('naive'):.0f}",
    ]


def main() -> None:
    """Print one row a path, then one a network."""
    header(CLAIM)
    trained()
    columns = ["network", "sites", "pairs", "cached s", "naive s", "seconds", "layer evaluations", "layers", "MiB"]
    publish("sweep", columns, [row(case) for case in cases()])


if __name__ == "__main__":
    main()
