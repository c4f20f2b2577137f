"""The paragraph on methods says what was run, in every domain, and cites what it names."""

from __future__ import annotations

import importlib
import re

import pytest

from sciddm.citations import REFERENCES, bibtex
from sciddm.pipelines.engine.report.methods import Statement, methods_block, paragraph
from sciddm.uncertainty.verdict import Finding, Verdict

RUN = {
    "sciddm_version": "9.8.7", "command": "sciddm mri reconstruct a.h5 -o b.nii", "seed": 3,
    "model": "a-model", "weights_sha256": "0123456789abcdef", "quality": "fast", "samples": 4,
    "steps": 2, "sampler": "DDIM", "nfe": 6.0, "nvjp": 5.5,
}  # fmt: skip
#: Attributes of a result of each domain -> words that must be said, and papers that are cited.
CASES = {
    "mri": [
        ({"coils": 8, "krylov": 1, "spread": 1.087, "std_widening": 1.4, "mask_acs": 16,
          "request": {"undersample": 4.0}},
         ["factor of 4", "16 calibration lines", "8 coils", "times 1.09", "by 1.4"],
         ["uecker2014", "rozet2024"]),
        ({"coils": 8, "request": {"maps": "maps.npy"}, "acceleration": 3.0},
         ["were given", "acceleration factor of 3"], ["pruessmann1999", "zhu2023"]),
        ({"coils": 1}, ["one coil"], ["song2021score"]),
    ],
    "ct": [
        ({"method": "residual", "strength": 0.8, "noise_hu": 39.06}, ["80%", "39.1 HU"],
         ["yue2023"]),
        ({"method": "filter2noise"}, ["without a reference"], ["sun2025"]),
        ({"method": "noise2score"}, ["Tweedie"], ["kim2021"]),
        ({"method": "posterior", "views": 60}, ["60 views", "posterior samples"], ["zhu2023"]),
        ({"method": "tv"}, ["total variation"], ["rudin1992"]),
        ({"method": "fbp", "window": "hann"}, ["back-projection", "hann"], []),
    ],
    "petct": [
        ({"suv_rule": "BQML", "threshold": 0.4, "model_spacing_mm": [3.27, 2, 2]},
         ["rule BQML", "at least 0.4", "3.27 x 2 x 2 mm"], ["song2021ddim", "wahl2009"]),
        ({"sampler": "none"}, ["A network gave", "given in SUV", "at least 0.5"], []),
    ],
    "hsi": [
        ({"method": "subspace", "rank": 4, "std_factor": 1.13, "dead_share": 0.0556,
          "striped_columns": 3}, ["estimated", "4 dimensions", "1.13", "5.6 %", "subtracted"],
         ["zhu2023"]),
        ({"method": "finch", "noise_estimated": 0}, ["was given", "latent"], ["rombach2022"]),
        ({"method": "dds2m"}, ["fitted to the cube itself"], ["miao2023"]),
        ({"method": "destripe"}, ["Offsets of columns"], []),
    ],
    "speech": [
        ({"sampler": "predictor", "rate": 48000, "model_rate": 16000, "views": 2},
         ["48000 Hz was processed at 16000 Hz", "2 forms"], []),
        ({"sampler": "dpm++"}, ["DPM-Solver++"], ["richter2023", "lu2022"]),
    ],
    "ultrasound": [
        ({"guidance": "pigdm", "haze_share": 0.3365}, ["PiGDM", "33.7 %"], ["song2023pigdm"]),
        ({"guidance": "mmps"}, ["MMPS"], ["rozet2024"]),
        ({"unchanged": 1}, ["unchanged"], []),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("domain", "attrs", "words", "papers"),
    [(domain, *case) for domain, cases in CASES.items() for case in cases],
)
def test_each_domain_says_what_was_run(domain, attrs, words, papers):
    statements = importlib.import_module(f"sciddm.pipelines.{domain}.statements").statements
    sentences = list(statements({**RUN, **attrs}))
    text = " ".join(map(str, sentences))
    for word in words:
        assert word in text
    cited = {key for statement in sentences for key in statement.cites}
    assert set(papers) <= cited
    for key in cited:
        assert f"{REFERENCES[key].short}" in text
    for statement in sentences:
        assert statement.text.endswith(".")
        assert len(statement.text.split()) <= 40
        assert not re.search(r"\bNone\b|\bnan\b|{|}", statement.text)


@pytest.mark.parametrize("domain", CASES)
def test_an_old_result_without_attributes_has_a_paragraph_too(domain):
    statements = importlib.import_module(f"sciddm.pipelines.{domain}.statements").statements
    found = paragraph(list(statements({})), {}, Verdict())
    assert all(str(statement).endswith(".") for statement in found)


def test_the_run_and_the_verdicts_are_told_with_their_figures():
    verdict = Verdict(Finding("yes", 0.92, 1.25, "Fine."), Finding("no", 2.5, 2.2, "Narrow."))
    text = " ".join(map(str, paragraph([], RUN, verdict)))
    for words in (
        "sciddm 9.8.7 (mri reconstruct)", "a-model (SHA-256 of the weights 0123456789ab...)",
        "quality level fast", "4 posterior samples", "2 steps", "sampler: DDIM",
        "6 network evaluations", "5.5 vector-Jacobian products", "seed 3",
        "(Does the estimate explain its own measurement?) answered yes (0.92, limit 1.25).",
        "no (2.5, limit 2.2)", "not checked",
    ):  # fmt: skip
        assert words in text, words
    alone = " ".join(map(str, paragraph([], {"samples": 1, "nfe": 1, "steps": 1}, None)))
    assert "one estimate, 1 step, 1 network evaluation." in alone
    assert "posterior samples" not in " ".join(map(str, paragraph([], {"samples": 1}, None)))


def test_the_block_holds_text_references_and_bibtex_once_each():
    found = [Statement("A <b>.", ("song2021ddim",)), Statement("B.", ("song2021ddim", "rudin1992"))]
    block = methods_block(found)
    assert "A &lt;b&gt; (Song et al., 2021b)." in block
    assert "B (Song et al., 2021b; Rudin et al., 1992)." in block
    assert block.count("Denoising diffusion implicit models. ") == 1
    assert block.count("@inproceedings{song2021ddim") == 1
    assert block.count("@software{sciddm") == 1


def test_no_two_papers_are_named_alike():
    names = [reference.short for reference in REFERENCES.values()]
    assert len(set(names)) == len(names)
    assert "Rudin et al., 1992" in names


def test_every_entry_of_bibtex_is_whole():
    text = bibtex(REFERENCES)
    assert len(re.findall(r"^@\w+\{\w+,$", text, re.M)) == len(REFERENCES) + 1
    assert text.count("{") == text.count("}")
    for key, reference in REFERENCES.items():
        assert key == reference.key
        assert 1980 < reference.year < 2027
        assert re.match(r"arXiv:\d{4}\.\d{4,5}(v\d)?$|10\.\d{4}/|https://", reference.link), key
        for author in reference.authors:
            family, _, given = author.partition(", ")
            assert family
            assert given, author


def test_a_link_stands_in_the_field_of_its_kind():
    for key, reference in REFERENCES.items():
        entry = bibtex([key]).split("\n\n")[1]
        fields = dict(re.findall(r"^  (\w+) = \{(.*)\},$", entry, re.MULTILINE))
        if "doi" in fields:
            assert re.fullmatch(r"10\.\d{4,}/\S+", fields["doi"]), key
        elif "eprint" in fields:
            assert re.fullmatch(r"\d{4}\.\d{5}(v\d)?", fields["eprint"]), key
            assert fields["archiveprefix"] == "arXiv"
        else:
            assert fields["url"].startswith("https://"), key
        place = "journal" if reference.journal else "booktitle"
        assert fields[place] == reference.venue
        # arXiv numbers carry the year and month of the first version, which is no later.
        if "eprint" in fields:
            assert 2000 + int(fields["eprint"][:2]) <= reference.year
