"""Reports of synthetic scans in any language of the vocabulary, of its prompts alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fvlm_data.phantom.catalogue import KIND

if TYPE_CHECKING:
    from fvlm_data.phantom.reports import Report
    from fvlm_data.vocabulary import Vocabulary


def in_language(report: Report, vocabulary: Vocabulary) -> Report:
    """A report that says the same by the prompts and normal sentences of a vocabulary.

    Neither sides nor sizes are told, nor what is only supposed, which no prompt says.
    """
    prompts = {term.id: term.prompts for term in vocabulary.findings}
    names = {anatomy.id: anatomy.name for anatomy in vocabulary.anatomies}
    told = {name: one for name, one in report.mentions.items() if not one.hedged}
    made = replace(
        report,
        clinical="",
        technique="",
        comparison="",
        findings={name: [] for name in report.findings},
        other=[],
        impression=[],
        mentions={},
        names_patient=False,
        headed=False,
    )
    for name, mention in told.items():
        prompt = prompts[name]
        sentence = prompt.negative if mention.negated else prompt.positive
        made.findings.setdefault(KIND[name].anatomy, []).append(sentence)
        section = "findings" if mention.negated else "both"
        made.mentions[name] = replace(mention, section=section, sentence=sentence)
        if not mention.negated:
            made.impression.append(sentence)
    abnormal = {KIND[name].anatomy for name, one in told.items() if not one.negated}
    made.stated_normal = report.stated_normal - abnormal
    for anatomy in sorted(made.stated_normal):
        sentence = vocabulary.pairing.normal.format(anatomy=names[anatomy])
        made.findings.setdefault(anatomy, []).append(sentence)
    return made


def prompted_text(report: Report) -> str:
    """Such a report as one text; sections go by their ids, which every language reads."""
    lines = [line for name in report.findings for line in report.findings[name]]
    text = f"FINDINGS:\n{' '.join(lines)}"
    return f"{text}\nIMPRESSION:\n{' '.join(report.impression)}" if report.impression else text
