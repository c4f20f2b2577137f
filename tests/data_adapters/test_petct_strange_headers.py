"""PET headers as strangers have them: what is unusual is told, what cannot be is refused."""

from __future__ import annotations

import numpy as np
import pytest
from petct_files import tracer, write_pet
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from sciddm.data_adapters.petct.images import open_pet
from sciddm.data_adapters.petct.nuclide import nuclide_of
from sciddm.errors import InputError

BQ = np.full((4, 3, 5), 5000)
AT_SCAN = 1.381683  # of 370 MBq, 70 kg, one hour, F-18: by hand
NO_DATES = dict.fromkeys(("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"), "")


def opened(folder, injection=None, **changes):
    if injection is not None:
        changes["RadiopharmaceuticalInformationSequence"] = tracer(**injection)
    options = {k: changes.pop(k) for k in ("weight_kg", "dose_mbq") if k in changes}
    write_pet(folder / "pet", BQ, **changes)
    return open_pet(folder / "pet", **options)


def said(volume):
    return " ".join(volume.attrs.get("warnings", []))


def test_without_any_date_times_of_day_hold(tmp_path):
    """As after the removal of dates; the stated date of the injection is of no use then."""
    tags = {"RadiopharmaceuticalStartDateTime": "20240101090000"}
    volume = opened(tmp_path, tags, **NO_DATES)
    assert np.allclose(volume.values, AT_SCAN, rtol=2e-6)
    assert "no date of the scan is stated" in said(volume)
    assert "60 min before" in said(volume)


def test_the_date_of_the_study_stands_in_for_that_of_the_series(tmp_path):
    """Injected before midnight, and the scan has its day from the study alone."""
    tags = {
        "RadiopharmaceuticalStartDateTime": "20240310090000",
        "RadiopharmaceuticalStartTime": None,
    }
    volume = opened(tmp_path, tags, SeriesDate="", AcquisitionDate="")
    assert np.allclose(volume.values, AT_SCAN, rtol=2e-6)
    assert said(volume) == ""


def test_an_injection_after_the_scan_of_the_day_is_refused_whatever_the_half_life(tmp_path):
    """Cu-64 lives long enough for the day before, but the header states the day."""
    tags = {
        "RadionuclideHalfLife": "45724",
        "RadiopharmaceuticalStartDateTime": "20240310120000",
        "RadiopharmaceuticalStartTime": "120000",
    }
    with pytest.raises(InputError, match="12:00:00 and a scan at 2024-03-10 10:00:00 cannot be"):
        opened(tmp_path, tags)


@pytest.mark.parametrize(
    ("injection", "words"),
    [
        ({"RadiopharmaceuticalStartTime": "100000"}, "starts 0.0 min after"),
        ({"RadiopharmaceuticalStartTime": "013000"}, "8.5 h after the injection, 4.6 half-lives"),
        (
            {
                "RadiopharmaceuticalStartDateTime": "20240310090000",
                "RadiopharmaceuticalStartTime": "093000",
            },
            "09:00:00 (0018,1078) and at 09:30:00",
        ),
        ({"Radiopharmaceutical": "68Ga-DOTATATE"}, "6586.2 s is not that of Ga-68"),
    ],
)
def test_what_is_unusual_is_told(tmp_path, injection, words):
    assert words in said(opened(tmp_path, injection))


def test_a_tracer_that_lives_minutes_is_scanned_at_once_without_a_word(tmp_path):
    water = {
        "RadionuclideHalfLife": "122.24",
        "Radiopharmaceutical": "O-15 water",
        "RadiopharmaceuticalStartTime": "095950",
    }
    assert said(opened(tmp_path, water)) == ""


def test_a_half_life_that_is_missing_is_that_of_the_nuclide(tmp_path):
    nuclide = Dataset()
    nuclide.CodeMeaning = "^18^Fluorine"
    named = {"RadionuclideHalfLife": None, "RadionuclideCodeSequence": Sequence([nuclide])}
    volume = opened(tmp_path, named)
    assert np.allclose(volume.values, AT_SCAN, rtol=2e-6)
    assert "that of F-18" in said(volume)


@pytest.mark.parametrize(
    ("text", "nuclide"),
    [
        ("^18^Fluorine", "F-18"),
        ("Fluorine-18", "F-18"),
        ("18F-FDG", "F-18"),
        ("[68Ga]Ga-DOTA-TOC", "Ga-68"),
        ("Copper 64 dotatate", "Cu-64"),
        ("Rb82 chloride", "Rb-82"),
        ("PSMA-1007", ""),
        ("FDG", ""),
    ],
)
def test_names_of_nuclides(text, nuclide):
    item = Dataset()
    item.Radiopharmaceutical = text
    assert nuclide_of(item) == nuclide


@pytest.mark.parametrize("units", ["GML", "CNTS"])
def test_lean_mass_and_surface_are_told_of_values_that_are_suv_already(tmp_path, units):
    write_pet(
        tmp_path / "pet", BQ, Units=units, slope=0.001, PatientSize="1.75", PatientSex="F",
        RadiopharmaceuticalInformationSequence=None,
    )  # fmt: skip
    if units == "CNTS":
        for file in (tmp_path / "pet").iterdir():
            d = dcmread(file)
            block = d.private_block(0x7053, "Philips PET Private Group", create=True)
            block.add_new(0x00, "DS", "0.5")
            d.save_as(file)
    attrs = open_pet(tmp_path / "pet").attrs
    assert attrs["weight_kg"] == 70
    assert attrs["lean_mass_kg"] == pytest.approx(45.197, abs=1e-3)
    assert attrs["body_surface_m2"] == pytest.approx(1.848, abs=1e-3)
    again = open_pet(tmp_path / "pet", weight_kg=80, dose_mbq=300)
    assert "those that are given here do not change them" in said(again)
    assert "those that are given" not in said(open_pet(tmp_path / "pet", weight_kg=70))


def test_philips_counts_with_another_weight_go_by_their_activity(tmp_path):
    """The factor to SUV holds the scanner's weight, so a given one needs the factor to Bq/ml."""
    write_pet(tmp_path / "pet", BQ, Units="CNTS")
    for file in (tmp_path / "pet").iterdir():
        d = dcmread(file)
        block = d.private_block(0x7053, "Philips PET Private Group", create=True)
        block.add_new(0x00, "DS", "0.0007")
        block.add_new(0x09, "DS", "2.0")
        d.save_as(file)
    assert np.allclose(open_pet(tmp_path / "pet").values, 3.5)
    heavier = open_pet(tmp_path / "pet", weight_kg=140)
    assert np.allclose(heavier.values, 2 * 2 * AT_SCAN, rtol=2e-6)


def test_a_height_in_centimetres_is_told(tmp_path):
    volume = opened(tmp_path, PatientSize="175", PatientSex="F")
    assert "a height of 175 m" in said(volume)
    assert "lean_mass_kg" not in volume.attrs


def test_slices_of_two_injections_are_refused(tmp_path):
    write_pet(tmp_path / "pet", BQ)
    file = min((tmp_path / "pet").iterdir())
    d = dcmread(file)
    d.RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose = "200000000"
    d.save_as(file)
    with pytest.raises(InputError, match="2 injections"):
        open_pet(tmp_path / "pet")


def test_a_dose_in_mbq_is_told(tmp_path):
    volume = opened(tmp_path, {"RadionuclideTotalDose": "370"})
    assert np.allclose(volume.values, AT_SCAN, rtol=2e-6)
    assert "taken for MBq" in said(volume)


UNCORRECTED = {"DecayCorrection": "NONE", "CorrectedImage": ["ATTN", "SCAT"]}


def test_images_that_are_not_corrected_for_decay_have_a_factor_each(tmp_path):
    """Two bed positions an hour apart: mean activity of 600 s frames, by the integral of decay."""
    write_pet(tmp_path / "pet", BQ, **UNCORRECTED, ActualFrameDuration="600000")
    for k, file in enumerate(sorted((tmp_path / "pet").iterdir())):
        d = dcmread(file)
        d.AcquisitionTime = "100000" if k < 2 else "110000"
        d.save_as(file)
    rate = np.log(2) / 6586.2
    mean_left = {  # of the dose, over the frame
        t: (np.exp(-rate * t) - np.exp(-rate * (t + 600))) / (rate * 600) for t in (3600, 7200)
    }
    values = open_pet(tmp_path / "pet").values
    for slices, t in ((values[:2], 3600), (values[2:], 7200)):
        assert np.allclose(slices, 5000 * 70e3 / (370e6 * mean_left[t]), rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (UNCORRECTED, "ActualFrameDuration of every image"),
        ({"DecayCorrection": "NONE"}, "DecayCorrection is NONE, and CorrectedImage names DECY"),
    ],
)
def test_uncorrected_images_that_do_not_tell_enough_are_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        opened(tmp_path, **changes)


def test_a_series_that_was_given_another_time_starts_where_its_frames_say(tmp_path):
    """450 s is the time of the mean count rate of a frame of 603 s that began 150 s into it."""
    volume = opened(
        tmp_path, SeriesTime="113000", AcquisitionTime="100230",
        ActualFrameDuration="603000", FrameReferenceTime="450000",
    )  # fmt: skip
    assert np.allclose(volume.values, AT_SCAN, rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "sex", "size_kg"),
    [
        ("LBM", "M", 1.10 * 70 - 120 * 0.16),
        ("LBMJAMES128", "M", 1.10 * 70 - 128 * 0.16),
        ("LBMJAMES128", "F", 1.07 * 70 - 148 * 0.16),
        ("LBMJANMA", "F", 9270 * 70 / (8780 + 244 * 70 / 1.75**2)),
        ("IBW", "O", (48 + 1.06 * 23 + 45.5 + 0.91 * 23) / 2),
    ],
)
def test_suv_by_another_size_is_brought_to_weight(tmp_path, kind, sex, size_kg):
    """70 kg and 1.75 m: W/H = 0.4 kg/cm."""
    volume = opened(
        tmp_path, Units="GML", SUVType=kind, slope=0.001, PatientSize="1.75", PatientSex=sex,
    )  # fmt: skip
    assert np.allclose(volume.values, 5 * 70 / size_kg, rtol=1e-6)
    assert f"by {kind}" in said(volume)


def test_suv_by_surface_is_brought_to_weight(tmp_path):
    """5 cm2/ml, and 1.848 m2 (Du Bois) for 70 kg."""
    volume = opened(tmp_path, Units="CM2ML", slope=0.001, PatientSize="1.75", PatientSex="O")
    surface = 0.007184 * 70**0.425 * 175**0.725
    assert np.allclose(volume.values, 5 * 70e3 / (surface * 1e4), rtol=1e-6)


def test_private_elements_without_their_creator_are_those_of_the_first_block(tmp_path):
    write_pet(tmp_path / "pet", BQ, Units="CNTS")
    for file in (tmp_path / "pet").iterdir():
        d = dcmread(file)
        d.add_new((0x7053, 0x1000), "DS", "0.0007")
        d.save_as(file)
    assert np.allclose(open_pet(tmp_path / "pet").values, 3.5)
    for file in (tmp_path / "pet").iterdir():
        d = dcmread(file)
        d.add_new((0x7053, 0x0010), "LO", "ANOTHER VENDOR")
        d.save_as(file)
    with pytest.raises(InputError, match="without Philips' factors"):
        open_pet(tmp_path / "pet")
