"""A training step against a straightforward implementation of it (bench/train_plain.py).

Run from the repository: `python bench/train.py`. Whole recipe on random crops: forward, loss,
backward, norm of the gradient, AdamW. Both have the same weights; without dropout loss and gradient
must agree, or it ends with an error. Prints the median seconds of a step, the memory that a step
takes at its highest (a process of its own for each), and ratios; then how a step grows with the
number of anatomies.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from train_plain import plain_loss  # noqa: E402

from fvlm_train.config import TrainConfig, parse_train_config  # noqa: E402
from fvlm_train.data.crops import Facts  # noqa: E402
from fvlm_train.model import FVLM  # noqa: E402
from fvlm_train.model.pooling import AnatomyPooling  # noqa: E402
from fvlm_train.training.distributed import Ranks  # noqa: E402
from fvlm_train.training.inputs import Inputs, distinct_texts  # noqa: E402
from fvlm_train.training.learner import Learner, learn, make_optimiser  # noqa: E402
from fvlm_train.training.loss import Term, loss_terms  # noqa: E402

LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-5, 1e-4
"""Relative differences of loss and of the whole gradient: sums in another order."""

ALONE = Ranks(0, 1, torch.device("cpu"))
FINDINGS = ("cyst", "stone", "mass", "fluid", "calcification")


@dataclass(frozen=True, slots=True)
class Size:
    """Of a crop, a patch (voxels along z, y, x), the encoders and a batch."""

    window_zyx: tuple[int, int, int]
    patch_zyx: tuple[int, int, int]
    width: int
    depth: int
    heads: int
    batch: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """Arithmetic and dropout: of every part, and of the attention weights in the image encoder."""

    precision: str
    dropout: float
    attention_dropout: float | None = None


STILL = Recipe("float32", 0.0)
FULL = Size((56, 128, 176), (8, 8, 16), 192, 4, 6, 4)
SMALL = Size((16, 32, 64), (8, 8, 16), 32, 2, 2, 4)


def configured(size: Size, anatomies: int, recipe: Recipe) -> TrainConfig:
    """As `fvlm-train` would read it."""
    dropout = recipe.dropout
    shape = {"width": size.width, "depth": size.depth, "heads": size.heads, "dropout": dropout}
    image = {
        **shape,
        "attention_dropout": recipe.attention_dropout,
        "window_zyx": size.window_zyx,
        "patch_zyx": size.patch_zyx,
    }
    return parse_train_config(
        {
            "anatomies": [f"organ {number}" for number in range(anatomies)],
            "model": {
                "image": image,
                "text": {**shape, "kind": "fresh", "max_tokens": 128},
                "pooling_dropout": dropout,
            },
            "loss": {"policy": "signature", "not_mentioned": "normal"},
            "batch_size": size.batch,
            "device": "cpu",
            "precision": recipe.precision,
        }
    )


@dataclass(frozen=True, slots=True)
class Given:
    """A batch, as both read it."""

    image_bzyx: Tensor
    tokens_ban: Tensor
    facts: tuple[Facts, ...]
    terms: list[Term]


def given(size: Size, config: TrainConfig) -> Given:
    """Random crops; organs are boxes of tokens, a third of them abnormal."""
    generator = torch.Generator().manual_seed(0)

    def drawn(low: int, high: int) -> int:
        return int(torch.randint(low, high, (1,), generator=generator))

    grid = config.model.image.grid_zyx
    tokens = torch.zeros(size.batch, len(config.anatomies), *grid, dtype=torch.bool)
    facts = []
    for sample in range(size.batch):
        told: list[tuple[str, int, frozenset[str], str]] = []
        for number, anatomy in enumerate(config.anatomies):
            # an eighth to a half of each axis, as organs have it in a crop of the trunk
            extent = [drawn(max(axis // 8, 1), max(axis // 2, 2)) for axis in grid]
            start = [drawn(0, axis - size + 1) for axis, size in zip(grid, extent, strict=True)]
            z, y, x = (slice(s, s + e) for s, e in zip(start, extent, strict=True))
            tokens[sample, number, z, y, x] = True
            code = drawn(1, len(FINDINGS) + 1) if drawn(0, 3) == 0 or sample == number % 2 else 0
            what = FINDINGS[code - 1]
            text = (
                f"The {anatomy} shows a {what} of {drawn(3, 40)} mm with smooth margins."
                if code
                else f"{anatomy} shows no significant abnormalities."
            )
            found = frozenset({f"{what}|present|"}) if code else frozenset[str]()
            told.append(("abnormal" if code else "normal_stated", code, found, text))
        states, codes, found_sets, texts = zip(*told, strict=True)
        facts.append(
            Facts(
                sample_id=f"sample {sample}",
                study_id=f"study {sample}",
                intact=(True,) * len(config.anatomies),
                states=states,
                signatures=codes,
                findings=found_sets,
                labels=(frozenset(),) * len(config.anatomies),
                texts=texts,
                encoder_texts=texts,
            )
        )
    terms = loss_terms(facts, len(config.anatomies), config.loss.policy, config.silence)
    image = torch.rand(size.batch, *size.window_zyx, generator=generator)
    return Given(image, tokens.flatten(2), tuple(facts), terms)


def read(batch: Given, model: FVLM) -> Inputs:
    """What a model reads of a batch, as `fvlm_train.training.inputs.inputs_of` gives it."""
    texts, place_ba = distinct_texts(batch.facts, batch.terms)
    ids_ts, mask_ts = model.tokenizer.encode(texts)
    return Inputs(batch.image_bzyx, batch.tokens_ban, ids_ts, mask_ts, place_ba)


def made(config: TrainConfig, batch: Given) -> FVLM:
    """The model with weights that no dropout draws."""
    torch.manual_seed(0)
    texts = sorted({text for one in batch.facts for text in one.texts})
    model = FVLM.for_training(config.model, config.anatomies, texts).train()
    # queries start at 0, with which every attention is a mean
    assert isinstance(model.pooling, AnatomyPooling)
    nn.init.normal_(model.pooling.queries, std=0.5)
    return model


def our_step(model: FVLM, batch: Given, config: TrainConfig) -> Callable[[], object]:
    """A step as `fvlm-train` makes it."""
    learner = Learner(model, model, make_optimiser(model, config.optimiser), 0)
    return lambda: learn(learner, read(batch, model), batch.terms, config, ALONE)


def plain_step(model: FVLM, batch: Given, config: TrainConfig) -> Callable[[], object]:
    """The same, straightforward."""
    model.text_encoder.bert.set_attn_implementation("eager")
    optimiser = make_optimiser(model, config.optimiser)

    def step() -> None:
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bfloat16"):
            loss = _plain_of(model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.get_total_norm([w.grad for w in model.parameters() if w.grad is not None])
        optimiser.step()

    return step


STEPS = {"fvlm": our_step, "plain": plain_step}


def check_equal(size: Size, anatomies: int) -> str:
    """Loss and gradient of both without dropout; raises SystemExit where they differ."""
    config = configured(size, anatomies, STILL)
    batch = given(size, config)
    ours = made(config, batch)
    plain = deepcopy(ours)
    plain.text_encoder.bert.set_attn_implementation("eager")
    still = config.optimiser.model_copy(update={"learning_rate": 1e-12, "weight_decay": 0.0})
    learner = Learner(ours, ours, make_optimiser(ours, still), 0)
    learned = learn(learner, read(batch, ours), batch.terms, config, ALONE)
    loss = _plain_of(plain, batch)
    loss.backward()  # type: ignore[no-untyped-call]
    expected = float(loss.detach())
    of_loss = abs(sum(learned.losses.values()) / expected - 1)
    named = dict(plain.named_parameters())
    squares = apart = 0.0
    for name, weight in ours.named_parameters():
        other = named[name].grad
        if weight.grad is not None and other is not None:
            squares += float(other.square().sum())
            apart += float((weight.grad - other).square().sum())
    of_gradient = (apart / squares) ** 0.5
    if not (of_loss < LOSS_TOLERANCE and of_gradient < GRADIENT_TOLERANCE):
        raise SystemExit(
            f"{anatomies} anatomies: loss and gradient differ by {of_loss:.1e} and "
            f"{of_gradient:.1e} of themselves: they are not the same model"
        )
    return f"loss {expected:.4f} equal to {of_loss:.0e}, gradient to {of_gradient:.0e}"


def seconds(size: Size, anatomies: int, recipe: Recipe, rounds: int) -> dict[str, list[float]]:
    """Of each round of each implementation, turn by turn; the first one does not count."""
    config = configured(size, anatomies, recipe)
    batch = given(size, config)
    model = made(config, batch)
    steps = {name: step(deepcopy(model), batch, config) for name, step in STEPS.items()}
    found: dict[str, list[float]] = {name: [] for name in steps}
    # of one thread the processor's time, to which others on the machine add little
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    for number in range(rounds + 1):
        for name, step in steps.items():
            began = clock()
            step()
            if number:
                found[name].append(clock() - began)
    return found


def peak_mb(name: str, size: Size, anatomies: int, threads: int, recipe: Recipe) -> float:
    """Memory at its highest in two steps beyond what lay there before them, MB."""
    torch.set_num_threads(threads)
    config = configured(size, anatomies, recipe)
    batch = given(size, config)
    step = STEPS[name](made(config, batch), batch, config)
    before = _status_kb("VmRSS")
    for _ in range(2):
        step()
    return (_status_kb("VmHWM") - before) / 1000


def _status_kb(name: str) -> int:
    """What the kernel tells of this process; getrusage would tell the parent's peak, too."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="the smallest size")
    parser.add_argument("--anatomies", type=int, nargs="+", default=[4, 15, 36])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--attention-dropout", type=float, help="default: as --dropout")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--profile", action="store_true", help="where our step's time goes")
    arguments = parser.parse_args()
    size = SMALL if arguments.small else FULL
    torch.set_num_threads(arguments.threads)
    recipe = Recipe(arguments.precision, arguments.dropout, arguments.attention_dropout)
    print(
        f"{size}, {recipe}, {arguments.threads} thread(s), torch {torch.__version__}, medians of "
        f"{arguments.rounds}"
    )
    if arguments.profile:
        profiled(size, arguments.anatomies[-1], recipe)
        return
    print(
        f"{'anatomies':>9} {'fvlm s':>8} {'plain s':>8} {'times':>6} {'fvlm MB':>8} {'plain MB':>9}"
    )
    ours = []
    for anatomies in arguments.anatomies:
        equal = check_equal(size, anatomies)
        rounds = seconds(size, anatomies, recipe, arguments.rounds)
        took = {name: statistics.median(each) for name, each in rounds.items()}
        ours.append(took["fvlm"])
        with get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
            asked = [(name, size, anatomies, arguments.threads, recipe) for name in STEPS]
            mb = dict(zip(STEPS, pool.starmap(peak_mb, asked, chunksize=1), strict=True))
        print(
            f"{anatomies:>9} {took['fvlm']:>8.3f} {took['plain']:>8.3f} "
            f"{took['plain'] / took['fvlm']:>6.2f} {mb['fvlm']:>8.0f} {mb['plain']:>9.0f}  {equal}"
        )
    print(f"{arguments.anatomies[0]} to {arguments.anatomies[-1]}: {ours[-1] / ours[0]:.2f} times")


def profiled(size: Size, anatomies: int, recipe: Recipe) -> None:
    """Operators of our step by their own time."""
    config = configured(size, anatomies, recipe)
    batch = given(size, config)
    step = our_step(made(config, batch), batch, config)
    step()
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities) as profile:
        step()
    print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=20))


def _plain_of(model: FVLM, batch: Given) -> Tensor:
    texts = [one.encoder_texts for one in batch.facts]
    return plain_loss(model, batch.image_bzyx, batch.tokens_ban, texts, batch.terms)


if __name__ == "__main__":
    main()
