"""Speed of the report parser beside medspaCy as it comes, in turn in the same run.

The texts are the phantom's reports in which a share of the sentences is varied, a third each by
an image, by a size and by words that say where and how it is seen, so that as many sentences repeat
as do in CT-RATE (52 % distinct). `--numbers 0` varies by words alone, which shows the parser
without what it remembers of sentences that differ in numbers only. medspaCy is
its default pipeline (PyRuSH, target matcher, ConText) with 18 target rules, the names of
CT-RATE's findings; ours has the whole vocabulary and gives sections, sides, sizes and states too.
"""

from __future__ import annotations

import argparse
import gc
import random
import re
import resource
import statistics
import time
import warnings
from typing import TYPE_CHECKING, Any

from fvlm_data.phantom.draws import stream
from fvlm_data.phantom.patient import draw_patient
from fvlm_data.phantom.reports import abdomen_text, chest_row, compose
from fvlm_data.reports import ParseConfig, ReportParser
from fvlm_data.reports.language.medspacy_matching import silence_loguru
from fvlm_data.reports.scrubbing.scrub import scrub
from fvlm_data.reports.sources.columns import joined_columns
from fvlm_data.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VARIED_SHARE = 0.24
WORDS = (
    ("in the upper part", "in the lower part", "in the middle third", "on the left", "on the right",
     "anteriorly", "posteriorly", "laterally", "medially", "near the midline"),
    ("as before", "as already described", "compared with the previous examination",
     "within the limits of the examination", "as far as can be observed", "in this phase",
     "despite motion artefacts", "in the non-contrast examination", "without other change"),
    ("best seen on axial images", "best seen on coronal images", "best seen in the sagittal plane",
     "shown on thin slices", "confirmed on reformats", "discussed with the ward",
     "correlation with laboratory values is advised", "follow-up is advised",
     "clinical correlation is advised"),
)  # fmt: skip
IDENTITIES = ("Mustermann Erika", "1964-08-12", "PAT-77001", "A00012345")


def phantom_texts(seed: int, patients: int) -> list[str]:
    """Reports of synthetic patients, chest and abdomen."""
    made = []
    for index in range(patients):
        patient = draw_patient(seed, index)
        for study in (study for study in patient.studies if study.has_report):
            report = compose(patient, study)
            rng = stream(patient.seed, patient.index, 16, study.order)
            chest = study.protocol == "chest"
            made.append(
                joined_columns(chest_row(report, rng)) if chest else abdomen_text(report, rng)
            )
    return made


def addition(rng: random.Random, numbers: float) -> str:
    """What is added to a sentence: numbers (an image, a size) in that share of cases, or words."""
    if rng.random() >= numbers:
        return ", " + ", ".join(rng.choice(words) for words in WORDS)
    if rng.random() < 0.5:
        return f" (image {rng.randrange(100_000)})"
    return f", measuring {rng.randrange(10, 9999) / 100} x {rng.randrange(10, 9999) / 100} mm"


def varied(
    texts: Sequence[str], parser: ReportParser, seed: int, share: float, numbers: float
) -> list[str]:
    """Texts in which about `share` of the sentences are varied, `numbers` of these by numbers."""
    rng = random.Random(seed)
    made = []
    for text in texts:
        pieces, begin = [], 0
        for sentence in parser.parse(text).sentences:
            if sentence.text.endswith(".") and rng.random() < share:
                pieces += [text[begin : sentence.end - 1], addition(rng, numbers), "."]
                begin = sentence.end
        made.append("".join((*pieces, text[begin:])))
    return made


def distinct_shares(texts: Sequence[str], parser: ReportParser) -> tuple[float, float, int]:
    """Share of distinct sentences, the same with all numbers alike, and the number of all."""
    sentences = [s.text for text in texts for s in parser.parse(text).sentences]
    plain = {re.sub(r"\d+(?:[.,]\d+)*", "0", sentence) for sentence in sentences}
    return len(set(sentences)) / len(sentences), len(plain) / len(sentences), len(sentences)


def medspacy_pipeline() -> Any:
    """MedspaCy as `medspacy.load()` gives it, with one rule a finding of CT-RATE."""
    warnings.simplefilter("ignore")
    import medspacy
    from medspacy.ner import TargetRule

    silence_loguru()
    nlp = medspacy.load()
    names = sorted({term.ct_rate.lower() for term in Vocabulary.load().findings if term.ct_rate})
    nlp.get_pipe("medspacy_target_matcher").add([TargetRule(name, "FINDING") for name in names])
    return nlp


def rate(read: Callable[[str], Any], texts: Sequence[str]) -> float:
    """Texts a second of this process's CPU time, nothing left to be freed of what ran before.

    What was built before is frozen, as the stage does it: the collector looks through it no more.
    """
    gc.collect()
    gc.freeze()
    begin = time.process_time()
    for text in texts:
        read(text)
    return len(texts) / (time.process_time() - begin)


def peak_mib() -> float:
    """Largest resident size of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def garbage(characters: int, seed: int) -> dict[str, str]:
    """Texts that are no reports, of about the given length."""
    rng = random.Random(seed)
    letters = "".join(map(chr, range(1, 0x250)))
    made = {
        "random characters": "".join(rng.choices(letters, k=characters)),
        "one word": "a" * characters,
        "blanks": " \n" * (characters // 2),
        "full stops": "." * characters,
        "open tags": "<p" * (characters // 2),
        "negations": "no " * (characters // 3),
        "findings": "no nodule, cyst or effusion in the liver, " * (characters // 42),
        "headers": "FINDINGS: LUNGS: " * (characters // 17),
        "digits": "1.2 " * (characters // 4),
        "dashes": "-" * characters,
        "question marks": "? " * (characters // 2),
        "lines of answers": "No\n" * (characters // 3),
        "boxes": "[ ] nodule " * (characters // 11),
        "titles": "Fondings: " * (characters // 10),
        "a report again and again": "",
    }
    made["a report again and again"] = "Both lungs are clear. No 4 mm nodule. " * (characters // 38)
    return made


def measure_speed(arguments: argparse.Namespace) -> None:
    """Print rates and ratios, the median of the rounds."""
    helper = ReportParser()
    made = phantom_texts(arguments.seed, arguments.patients)
    texts = varied(made, helper, 1, arguments.varied, arguments.numbers)
    share, plain_share, sentences = distinct_shares(texts, helper)
    print(
        f"{len(texts)} reports, {sentences} sentences, {share:.0%} of them distinct, "
        f"{plain_share:.0%} with all numbers alike"
    )
    nlp = medspacy_pipeline()
    few = texts[: arguments.peer_reports]
    theirs, ours, plain, scrubbed = [], [], [], []
    for _ in range(arguments.rounds):
        theirs.append(rate(nlp, few))
        ours.append(rate(ReportParser().parse, texts))
        plain.append(rate(ReportParser(ParseConfig(memo_sentences=0)).parse, texts[:200]))
        scrubbed.append(rate(lambda text: scrub(text, IDENTITIES, helper.vocabulary), texts))
    peer, here = statistics.median(theirs), statistics.median(ours)
    print(f"medspaCy, default       {peer:8.1f} reports/s")
    print(f"this parser             {here:8.1f} reports/s   x{here / peer:.1f}")
    bare = statistics.median(plain)
    print(f"  each sentence anew    {bare:8.1f} reports/s   x{bare / peer:.1f}")
    print(f"scrubbing               {statistics.median(scrubbed):8.1f} reports/s")


def measure_memory(arguments: argparse.Namespace) -> None:
    """Print the resident size while more and more distinct reports are read."""
    parser = ReportParser()
    texts = phantom_texts(arguments.seed, arguments.patients)
    step = max(1, arguments.memory // 5)
    for number in range(arguments.memory):
        parser.parse(f"{texts[number % len(texts)]} Nodule of {number} mm in the liver.")
        if (number + 1) % step == 0:
            print(f"{number + 1:9d} reports  {peak_mib():7.0f} MiB")


def measure_garbage(arguments: argparse.Namespace) -> None:
    """Print the time of useless texts and of texts half as long."""
    parser = ReportParser()
    half = garbage(arguments.garbage // 2, 3)
    for name, text in garbage(arguments.garbage, 3).items():
        times = []
        for one in (half[name], text):
            begin = time.process_time()
            parser.parse(scrub(one, IDENTITIES, parser.vocabulary).text)
            times.append(time.process_time() - begin)
        print(
            f"{name:26} {len(text):8d} characters {times[1]:6.2f} s, half of it {times[0]:6.2f} s"
        )


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=400)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-reports", type=int, default=40)
    parser.add_argument("--varied", type=float, default=VARIED_SHARE, help="share of sentences")
    parser.add_argument("--numbers", type=float, default=2 / 3, help="share varied by numbers")
    parser.add_argument("--memory", type=int, default=0, metavar="REPORTS")
    parser.add_argument("--garbage", type=int, default=0, metavar="CHARACTERS")
    arguments = parser.parse_args()
    if arguments.memory:
        measure_memory(arguments)
    elif arguments.garbage:
        measure_garbage(arguments)
    else:
        measure_speed(arguments)


if __name__ == "__main__":
    main()
