"""What is wrong in a user's folder is told with file, line and what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from fvlm_data.errors import ConfigError
from fvlm_data.vocabulary import Vocabulary

FINDING = """# ours
findings:
  - id: liver_cist
    name: cyst
    prompts: {positive: A., negative: B.}
    anatomy: livr
"""


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("findings.yaml", FINDING,
         r"vocabulary overlay findings\.yaml, line 6: finding 'liver_cist': anatomy 'livr' is not "
         r"known; expected one of adrenal_gland, .*\(did you mean liver\?\)"),
        ("findings.yaml", FINDING.replace("anatomy: livr", "anatomy: liver\n    sinonyms: [x]"),
         r"line 7: finding 'liver_cist': sinonyms is not a known key \(did you mean synonyms\?\); "
         "expected one of alone, anatomy"),
        ("findings.yaml", FINDING.replace("    anatomy: livr\n", ""),
         r"line 3: finding 'liver_cist': anatomy is missing"),
        ("findings.yaml", FINDING.replace("livr", "liver\n    implies: [lung_nodul]"),
         r"line 7: finding 'liver_cist': finding 'lung_nodul' is not known.*mean lung_nodule\?"),
        ("findings.yaml", FINDING.replace("livr", 'liver\n    synonyms: ["{cists}"]'),
         r"line 7: phrase '\{cists\}' uses \{cists\}; known are atrophy"),
        ("findings.yaml", "findings:\n  - name: cyst\n", "line 2: an entry without id"),
        ("findings.yaml", "findings:\n  - id: liver_cyst\n  - id: liver_cyst\n",
         "line 3: finding 'liver_cyst' stands more than once"),
        ("findings.yaml", "findings: [\n", r"overlay findings\.yaml, line 2: no valid YAML"),
        ("findings.yaml", "- a\n", "line 1: expected a mapping"),
        ("anatomies.yaml", "anatomies:\n  - id: liver\n    phrases: hepar\n",
         "line 3: anatomy 'liver': phrases: input should be a valid tuple, found 'hepar'"),
        ("anatomies.yaml", "sides:\n  left:\n    remove: [lefd]\n",
         r"line 3: 'lefd' is not in the list and cannot be removed \(did you mean left\?\)"),
        ("anatomies.yaml", "anatomies:\n- id: liver\n  name: {add: [a]}\n",
         "line 3: add and remove change a list, and here is none"),
        ("cues.yaml", "carry: {}\ncolour: red\n", "line 2: colour is not a known key"),
        ("cues.yaml", "normal: [fine,\n  no]\n",
         r"line 2: normal: .*found False \(put it in quotes"),
        ("cues.yaml", "normal: []\nnormal: []\n", "line 2: normal stands twice"),
        ("lists.yaml", "ours:\n- liver_cyst\n- liver_cist\n",
         r"line 3: list ours: finding 'liver_cist' is not known.*did you mean liver_cyst\?"),
        ("segmentation.yaml", "anatomies:\n  liver:\n    totalsegmentor_v2: [liver]\n",
         r"line 3: anatomy 'liver': class system 'totalsegmentor_v2' is not known; .*"
         r"did you mean totalsegmentator_v2\?"),
        ("pairing.yaml", "\nnormal: fine\n", r"line 2: normal must hold \{anatomy\}"),
        ("finding.yaml", "", r"overlay finding\.yaml: no file .*did you mean findings\.yaml\?"),
    ],
)  # fmt: skip
def test_fault_is_told_with_its_place(tmp_path: Path, name: str, text: str, told: str):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=told):
        Vocabulary.load("en", overlay=tmp_path)


def test_missing_folder_is_told(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"no such folder; name .* by vocabulary\.overlay"):
        Vocabulary.load(overlay=tmp_path / "nowhere")


def test_unknown_language_is_told():
    told = r"language 'tlh' is not built in \(built in: de, en, tr\)"
    with pytest.raises(ConfigError, match=told):
        Vocabulary.load("tlh")


def test_unknown_part_of_a_label_system_is_told():
    with pytest.raises(ConfigError, match=r"not in the vocabulary \(did you mean liver"):
        Vocabulary.load().anatomy("livr")
