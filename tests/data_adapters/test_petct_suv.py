"""SUV: every rule, on series that the test writes."""

from __future__ import annotations

import numpy as np
import pytest
from dicom_makers import write_enhanced
from petct_files import pet_header, tracer, write_ct, write_pet, write_series
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from sciddm.data_adapters.petct.images import open_ct_of, open_pet
from sciddm.errors import InputError

BQ = np.full((4, 3, 5), 5000)
# 5000 Bq/ml, 70 kg, 370 MBq, an hour, 109.77 min: worked out by hand.
AT_SCAN, AT_INJECTION = 1.381683, 5000 * 70e3 / 370e6
HALF_HOUR = 5000 * 70e3 / (370e6 * 2 ** (-1800 / 6586.2))
MIDNIGHT = {"SeriesDate": "20240311", "SeriesTime": "003000", "AcquisitionDate": "20240311"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, AT_SCAN),
        ({"DecayCorrection": "ADMIN"}, AT_INJECTION),
        # The series' time was given to it later than its images were acquired.
        ({"SeriesTime": "180000"}, AT_SCAN),
        ({"SeriesTime": "180000", "AcquisitionTime": "093000"}, HALF_HOUR),
        # The series began before this bed position.
        ({"SeriesTime": "093000", "AcquisitionTime": "101500"}, HALF_HOUR),
        ({"SeriesTime": "100000.000000", "AcquisitionTime": "100000.50"}, AT_SCAN),
        # Only one of the times is told.
        ({"SeriesTime": None, "SeriesDate": None}, AT_SCAN),
        ({"AcquisitionTime": None, "AcquisitionDate": None}, AT_SCAN),
        # Injected before midnight, scanned after it.
        (
            {
                **MIDNIGHT,
                "AcquisitionTime": "003000",
                "RadiopharmaceuticalInformationSequence": tracer(
                    RadiopharmaceuticalStartTime="233000"
                ),
            },
            AT_SCAN,
        ),
        (
            {
                **MIDNIGHT,
                "AcquisitionTime": "003000",
                "RadiopharmaceuticalInformationSequence": tracer(
                    RadiopharmaceuticalStartDateTime="20240310233000.00",
                    RadiopharmaceuticalStartTime="050000",  # the date and time are believed
                ),
            },
            AT_SCAN,
        ),
        (
            {
                "RadiopharmaceuticalInformationSequence": tracer(
                    RadiopharmaceuticalStartDateTime="20240310093000+0100",
                    RadiopharmaceuticalStartTime=None,
                )
            },
            HALF_HOUR,
        ),
        ({"Units": "GML", "RadiopharmaceuticalInformationSequence": None, "slope": 0.001}, 5.0),
        ({"Units": "GML", "SUVType": "BW", "PatientWeight": None, "slope": 0.001}, 5.0),
    ],
)
def test_every_rule(tmp_path, changes, expected):
    write_pet(tmp_path / "pet", BQ, **changes)
    volume = open_pet(tmp_path / "pet")
    assert volume.attrs["units"] == "SUV"
    assert np.allclose(volume.values, expected, rtol=2e-6)


def test_each_slice_has_its_own_slope(tmp_path):
    folder = tmp_path / "pet"
    write_pet(folder, BQ)
    for k, file in enumerate(sorted(folder.iterdir())):
        dataset = dcmread(file)
        dataset.RescaleSlope, dataset.RescaleIntercept = str(1 + k), "100"
        dataset.save_as(file)
    expected = [(5000 * (1 + k) + 100) * AT_SCAN / 5000 for k in range(4)]
    assert np.allclose(open_pet(folder).values[:, 1, 2], expected, rtol=2e-6)


def test_the_earliest_of_all_bed_positions_counts(tmp_path):
    folder = tmp_path / "pet"
    write_pet(folder, BQ, SeriesTime="180000", AcquisitionTime="101000")
    last = sorted(folder.iterdir())[-1]
    dataset = dcmread(last)
    dataset.AcquisitionTime = "093000"
    dataset.save_as(last)
    assert np.allclose(open_pet(folder).values, HALF_HOUR, rtol=2e-6)


def private(folder, group, element, creator, vr, value):
    for file in folder.iterdir():
        dataset = dcmread(file)
        dataset.private_block(group, creator, create=True).add_new(element, vr, value)
        dataset.save_as(file)


def test_philips_counts(tmp_path):
    folder = tmp_path / "pet"
    # Its own factor makes SUV of counts: neither dose nor weight is needed.
    bare = {"RadiopharmaceuticalInformationSequence": None, "PatientWeight": None}
    write_pet(folder, BQ, Units="CNTS", **bare)
    private(folder, 0x7053, 0x00, "Philips PET Private Group", "DS", "0.00025")
    assert np.allclose(open_pet(folder).values, 1.25)
    # The other factor makes Bq/ml of them.
    folder = tmp_path / "activity"
    write_pet(folder, BQ, Units="CNTS")
    private(folder, 0x7053, 0x09, "Philips PET Private Group", "DS", "2.0")
    assert np.allclose(open_pet(folder).values, 2 * AT_SCAN, rtol=2e-6)
    folder = tmp_path / "neither"
    write_pet(folder, BQ, Units="CNTS")
    with pytest.raises(InputError, match="7053,1000"):
        open_pet(folder)


def test_ge_tells_when_it_scanned(tmp_path):
    folder = tmp_path / "pet"
    write_pet(folder, BQ, SeriesTime="180000", AcquisitionTime="101500")
    private(folder, 0x0009, 0x0D, "GEMS_PETD_01", "DT", "20240310093000")
    assert np.allclose(open_pet(folder).values, HALF_HOUR, rtol=2e-6)


def test_a_date_changed_for_anonymity_is_told(tmp_path):
    folder = tmp_path / "pet"
    moved = tracer(RadiopharmaceuticalStartDateTime="20010101090000")
    write_pet(folder, BQ, RadiopharmaceuticalInformationSequence=moved)
    volume = open_pet(folder)
    assert np.allclose(volume.values, AT_SCAN, rtol=2e-6)
    assert "date of the injection" in volume.attrs["warnings"][0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"PatientWeight": None}, "0010,1030.*--weight-kg"),
        ({"PatientWeight": "0"}, "0010,1030.*--weight-kg"),
        ({"PatientWeight": "70000"}, "weight of 70000 kg"),
        ({"RadiopharmaceuticalInformationSequence": None}, "0054,0016"),
        ({"dose": {"RadionuclideTotalDose": None}}, "0018,1074.*--dose-mbq"),
        ({"dose": {"RadionuclideTotalDose": "20"}}, "MBq or mCi"),
        ({"dose": {"RadionuclideHalfLife": None}}, "0018,1075"),
        ({"Units": "CM2ML"}, "normalised by BSA"),
        ({"dose": {"RadiopharmaceuticalStartTime": None}}, "0018,1072"),
        ({"Units": None}, "Units are missing"),
        ({"Units": "PROPCPS"}, "PROPCPS"),
        ({"Units": "GML", "SUVType": "LBM"}, "LBM"),
        ({"DecayCorrection": "NONE"}, "DecayCorrection is NONE"),
        ({"DecayCorrection": None}, "DecayCorrection is missing"),
        ({"CorrectedImage": ["DECY"]}, "attenuation"),
        ({"CorrectedImage": "ATTN"}, "decay"),
        (
            {
                "SeriesTime": None,
                "SeriesDate": None,
                "AcquisitionTime": None,
                "AcquisitionDate": None,
            },
            "0008,0031",
        ),
        ({"NumberOfFrames": "3"}, "frames"),
    ],
)
def test_what_is_missing_is_named(tmp_path, changes, message):
    changes = dict(changes)
    if "dose" in changes:
        changes["RadiopharmaceuticalInformationSequence"] = tracer(**changes.pop("dose"))
    write_pet(tmp_path / "pet", BQ, **changes)
    with pytest.raises(InputError, match=message) as error:
        open_pet(tmp_path / "pet")
    assert "\n" not in str(error.value)
    assert "pet" in str(error.value)


def test_given_weight_and_dose(tmp_path):
    incomplete = tracer(RadionuclideTotalDose=None)
    write_pet(
        tmp_path / "pet",
        BQ,
        PatientWeight=None,
        RadiopharmaceuticalInformationSequence=incomplete,
    )
    volume = open_pet(tmp_path / "pet", weight_kg=35.0, dose_mbq=740.0)
    assert np.allclose(volume.values, AT_SCAN / 4, rtol=2e-6)


def test_ct_given_as_pet_and_pet_as_ct(tmp_path):
    write_ct(tmp_path / "ct", np.zeros((4, 3, 5)))
    write_pet(tmp_path / "pet", BQ)
    with pytest.raises(InputError, match="modality is CT, not PT"):
        open_pet(tmp_path / "ct")
    with pytest.raises(InputError, match="modality is PT, not CT"):
        open_ct_of(tmp_path / "pet")


def test_one_folder_holds_both(tmp_path):
    write_ct(tmp_path, np.full((5, 3, 5), 40))
    write_series(tmp_path, BQ, "PT", **pet_header())
    assert np.allclose(open_pet(tmp_path).values, AT_SCAN, rtol=2e-6)
    ct = open_ct_of(tmp_path)
    assert ct.shape == (5, 3, 5)
    assert np.all(ct.values == 40)


def test_a_slice_is_missing(tmp_path):
    write_pet(tmp_path / "pet", np.full((6, 3, 5), 5000))
    sorted((tmp_path / "pet").iterdir())[2].unlink()
    with pytest.raises(InputError, match="a slice is missing"):
        open_pet(tmp_path / "pet")


ZIRCONIUM = {"RadionuclideHalfLife": "282240", "RadiopharmaceuticalStartTime": "100000"}


def test_a_long_lived_tracer_days_before(tmp_path):
    """Zr-89, five days before by (0018,1078): 2^-(120 / 78.4) of the dose is left."""
    tracer_ = tracer(**ZIRCONIUM, RadiopharmaceuticalStartDateTime="20240305100000")
    write_pet(tmp_path / "pet", BQ, RadiopharmaceuticalInformationSequence=tracer_)
    volume = open_pet(tmp_path / "pet")
    left = 370e6 * 2 ** (-120 / 78.4)
    assert np.allclose(volume.values, 5000 * 70_000 / left, rtol=1e-6)
    assert "warnings" not in volume.attrs


def test_the_day_of_a_long_lived_tracer_is_asked_for(tmp_path):
    tracer_ = tracer(**ZIRCONIUM)
    write_pet(tmp_path / "pet", BQ, RadiopharmaceuticalInformationSequence=tracer_)
    said = open_pet(tmp_path / "pet").attrs["warnings"]
    assert any("day of the injection is not known" in w for w in said)


@pytest.mark.parametrize(
    "times",
    [
        {"RadiopharmaceuticalStartTime": "100500"},  # after the scan, or 24 hours before it
        {
            "RadiopharmaceuticalStartTime": None,
            "RadiopharmaceuticalStartDateTime": "20240310103000",
        },
        {"RadionuclideHalfLife": "109.8"},  # in minutes
        {"RadiopharmaceuticalStartTime": "200000"},  # 14 hours before
    ],
)
def test_times_that_cannot_be_are_refused(tmp_path, times):
    write_pet(tmp_path / "pet", BQ, RadiopharmaceuticalInformationSequence=tracer(**times))
    with pytest.raises(InputError, match="cannot be, with a half-life"):
        open_pet(tmp_path / "pet")


@pytest.mark.parametrize(
    ("stated", "zone"),
    [
        ("20240310000000+0100", "+1000"),  # 23:00 UTC, so 09:00 at the scanner
        ("20240309230000+0000", "+1000"),
        ("20240310090000+1000", "+1000"),
        ("20240310090000", "+1000"),  # without an offset: the scanner's own time
        ("20240310090000+0900", None),  # the scanner's zone is not told
    ],
)
def test_times_are_compared_in_one_zone(tmp_path, stated, zone):
    """All of them an hour before the scan at 10:00 local time."""
    tracer_ = tracer(RadiopharmaceuticalStartDateTime=stated, RadiopharmaceuticalStartTime=None)
    changes = {"RadiopharmaceuticalInformationSequence": tracer_, "TimezoneOffsetFromUTC": zone}
    write_pet(tmp_path / "pet", BQ, **changes)
    assert np.allclose(open_pet(tmp_path / "pet").values, AT_SCAN, rtol=2e-6)


def test_suv_that_cannot_be_is_refused_from_dicom_too(tmp_path):
    write_pet(tmp_path / "pet", BQ, Units="GML", slope=4.0)
    with pytest.raises(InputError, match="are no SUV"):
        open_pet(tmp_path / "pet")


@pytest.mark.parametrize(("sex", "lean"), [("M", 55.857), ("F", 45.197)])
def test_lean_mass_and_surface_are_told(tmp_path, sex, lean):
    """Janmahasatian's and Du Bois' equations for 70 kg and 1.75 m, by hand."""
    write_pet(tmp_path / "pet", BQ, PatientSize="1.75", PatientSex=sex)
    attrs = open_pet(tmp_path / "pet").attrs
    assert attrs["lean_mass_kg"] == pytest.approx(lean, abs=1e-3)
    assert attrs["body_surface_m2"] == pytest.approx(1.848, abs=1e-3)


def test_enhanced_pet(tmp_path):
    """Units as a code, and the time that it is corrected to as a date-time."""
    kind = UID("1.2.840.10008.5.1.4.1.1.130")
    unit = Dataset()
    unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "Bq/ml", "UCUM", "Bq/ml"
    mapping = Dataset()
    mapping.MeasurementUnitsCodeSequence = Sequence([unit])
    values = {k: v for k, v in pet_header().items() if k not in ("Units", "DecayCorrection")}
    activity = write_enhanced(
        tmp_path / "pet" / "pet.dcm", np.full((4, 6, 8), 4976.0), storage=kind, modality="PT",
        **values, DecayCorrected="YES", DecayCorrectionDateTime="20240310100000",
        RealWorldValueMappingSequence=Sequence([mapping]),
    )  # fmt: skip
    left = 370e6 * 2 ** (-3600 / 6586.2)
    volume = open_pet(tmp_path / "pet")
    assert np.allclose(volume.values, activity * 70e3 / left, rtol=2e-6)


@pytest.mark.parametrize(
    ("keyword", "values"), [("Units", ("BQML", "GML")), ("PatientWeight", (70, 80))]
)
def test_slices_of_several_scales_are_refused(tmp_path, keyword, values):
    """One factor would be wrong for some of them."""
    write_pet(tmp_path / "pet", BQ)
    for k, file in enumerate(sorted((tmp_path / "pet").iterdir())):
        d = dcmread(file)
        setattr(d, keyword, values[k % 2])
        d.save_as(file)
    with pytest.raises(InputError, match=rf"{values[0]}.* and {values[1]}.* for {keyword}"):
        open_pet(tmp_path / "pet")


def test_a_zone_that_one_time_alone_states_is_told(tmp_path):
    write_pet(
        tmp_path / "pet",
        BQ,
        RadiopharmaceuticalInformationSequence=tracer(
            RadiopharmaceuticalStartDateTime="20240310090000+0000"
        ),
    )
    volume = open_pet(tmp_path / "pet")
    assert any("offset from UTC" in w for w in volume.attrs["warnings"])
    assert np.allclose(volume.values, AT_SCAN, rtol=2e-6)


def test_a_weight_of_grams_is_told(tmp_path):
    write_pet(tmp_path / "pet", BQ, PatientWeight=0.07)
    assert any("in kg?" in w for w in open_pet(tmp_path / "pet").attrs["warnings"])
