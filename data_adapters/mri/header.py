"""The ISMRMRD XML header: of ISMRMRD files, and of fastMRI files under `ismrmrd_header`.

Source: the schema ismrmrd.xsd, http://www.ismrm.org/ISMRMRD. Who the patient is and which study it
was stays apart from the attributes: only DICOM output has a place for it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from sciddm.errors import InputError

__all__ = ["Encoding", "Header", "Space", "build_header", "parse_header"]

_NAMESPACE = "http://www.ismrm.org/ISMRMRD"
_SEQUENCE = {
    "TR": "repetition_time_ms",
    "TE": "echo_time_ms",
    "TI": "inversion_time_ms",
    "flipAngle_deg": "flip_angle_deg",
    "sequence_type": "sequence_type",
}


#: DICOM keyword -> where the header has it.
_IDENTITY = {
    "PatientName": "subjectInformation/patientName",
    "PatientID": "subjectInformation/patientID",
    "PatientBirthDate": "subjectInformation/patientBirthdate",
    "PatientSex": "subjectInformation/patientGender",
    "PatientWeight": "subjectInformation/patientWeight_kg",
    "StudyInstanceUID": "studyInformation/studyInstanceUID",
    "StudyDate": "studyInformation/studyDate",
    "StudyTime": "studyInformation/studyTime",
    "StudyID": "studyInformation/studyID",
    "AccessionNumber": "studyInformation/accessionNumber",
    "ReferringPhysicianName": "studyInformation/referringPhysicianName",
    "StudyDescription": "studyInformation/studyDescription",
    "BodyPartExamined": "studyInformation/bodyPartExamined",
    "FrameOfReferenceUID": "measurementInformation/frameOfReferenceUID",
    "PatientPosition": "measurementInformation/patientPosition",
}
_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")
_LONGEST_TEXT = 64


@dataclass(frozen=True)
class Space:
    """An encoded or reconstructed space.

    Attributes:
        matrix: samples along (x, y, z): readout, first and second phase encoding; 0 if not stated.
        fov_mm: field of view along them; NaN if not stated.
    """

    matrix: tuple[int, int, int] = (0, 0, 0)
    fov_mm: tuple[float, float, float] = (math.nan, math.nan, math.nan)

    def voxel_mm(self, axis: int, samples: int | None = None) -> float:
        """Field of view / samples along an axis, NaN where not known."""
        count = samples or self.matrix[axis]
        return self.fov_mm[axis] / count if count else math.nan


@dataclass(frozen=True)
class Encoding:
    """A further encoding of a file, such as that of separate calibration lines.

    Attributes:
        space: the sampled space.
        ky_centre: first encoding step through the centre of k-space; None if not stated.
    """

    space: Space
    ky_centre: int | None


@dataclass(frozen=True)
class Header:
    """What a reader needs of the header.

    Attributes:
        encoded: the sampled space, with oversampling.
        recon: the scanner's image.
        others: further encodings, in their order.
        trajectory: cartesian, radial, ...; empty if not stated.
        ky_centre: first encoding step through the centre of k-space; None if not stated.
        kz_centre: second encoding step through it, of 3D scans; None if not stated.
        calibration_mode: of parallel imaging: embedded, separate, ...; empty if not stated.
        ramp_sampled: of echo-planar scans: readouts begin on the ramp of the gradient.
        noise_bandwidth: relative bandwidth of the receiver's noise; 1 if not stated.
        attrs: attributes of the scan: field strength, sequence times, scanner.
        identity: DICOM keywords of patient, study and frame of reference, as DICOM writes them.
    """

    encoded: Space = field(default_factory=Space)
    recon: Space = field(default_factory=Space)
    others: tuple[Encoding, ...] = ()
    trajectory: str = ""
    ky_centre: int | None = None
    kz_centre: int | None = None
    calibration_mode: str = ""
    ramp_sampled: bool = False
    noise_bandwidth: float = 1.0
    attrs: dict[str, Any] = field(default_factory=dict)
    identity: dict[str, str] = field(default_factory=dict)


def parse_header(text: str | bytes, path: Path) -> Header:
    """Reads the header's first encoding.

    Raises:
        InputError: not XML, or without any encoding.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    text = text.strip("\x00 \r\n\t")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:  # entities can blow up to any size
        raise InputError(f"{path}: its XML header defines entities: export it again without")
    if text.startswith("<?xml"):  # its encoding is done with
        text = text[text.index("?>") + 2 :] if "?>" in text else text
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(f"{path}: its ISMRMRD header is no XML ({error}): export again") from error
    for node in root.iter():
        node.tag = str(node.tag).rpartition("}")[2]
    encoding = root.find("encoding")
    if encoding is None:
        raise InputError(f"{path}: its ISMRMRD header describes no encoding: export it again")
    attrs: dict[str, Any] = {
        "field_strength_T": _number(root, "acquisitionSystemInformation/systemFieldStrength_T")
    }
    scanner = [_text(root, f"acquisitionSystemInformation/system{k}") for k in ("Vendor", "Model")]
    if any(scanner):
        attrs["scanner"] = " ".join(filter(None, scanner))
    protocol = _text(root, "measurementInformation/protocolName")
    if protocol:
        attrs["protocol"] = protocol
    for tag, name in _SEQUENCE.items():
        for node in root.findall(f"sequenceParameters/{tag}")[:1]:
            value: Any = (node.text or "").strip()
            attrs[name] = value if name == "sequence_type" else _float(value)
    centres = [_number(encoding, f"encodingLimits/kspace_encoding_step_{i}/center") for i in (1, 2)]
    ky_centre, kz_centre = (None if math.isnan(c) else int(c) for c in centres)
    bandwidth = _number(root, "acquisitionSystemInformation/relativeReceiverNoiseBandwidth")
    return Header(
        encoded=_space(encoding.find("encodedSpace")),
        recon=_space(encoding.find("reconSpace")),
        others=tuple(_further(node) for node in root.findall("encoding")[1:]),
        trajectory=_text(encoding, "trajectory").lower(),
        ky_centre=ky_centre,
        kz_centre=kz_centre,
        calibration_mode=_text(encoding, "parallelImaging/calibrationMode").lower(),
        ramp_sampled=_ramp_sampled(encoding),
        noise_bandwidth=bandwidth if bandwidth > 0 else 1.0,
        attrs=attrs,
        identity=_identity(root),
    )


def _identity(root: ElementTree.Element) -> dict[str, str]:
    """What DICOM calls the patient, the study and the frame of reference; nothing invalid."""
    found = {}
    for keyword, at in _IDENTITY.items():
        text = _text(root, at)
        if keyword.endswith("Date"):
            text = text.replace("-", "")
            text = text if re.fullmatch(r"\d{8}", text) else ""
        elif keyword.endswith("Time"):
            digits = re.match(r"(\d\d):?(\d\d):?(\d\d)", text)
            text = "".join(digits.groups()) if digits else ""
        elif keyword.endswith("UID"):
            text = text if _UID.fullmatch(text) and len(text) <= _LONGEST_TEXT else ""
        elif keyword == "PatientSex":
            text = text.upper() if text.upper() in ("M", "F", "O") else ""
        elif keyword == "PatientWeight":
            weight = _float(text)
            text = f"{weight:g}" if 0 < weight < math.inf else ""
        text = re.sub(r"[\x00-\x1f\\]", " ", text)[:_LONGEST_TEXT]
        if text:
            found[keyword] = text
    return found


def _further(encoding: ElementTree.Element) -> Encoding:
    centre = _number(encoding, "encodingLimits/kspace_encoding_step_1/center")
    space = _space(encoding.find("encodedSpace"))
    return Encoding(space, None if math.isnan(centre) else int(centre))


def _ramp_sampled(encoding: ElementTree.Element) -> bool:
    """Whether the description of an echo-planar trajectory lets readouts begin on the ramp."""
    stated = {
        _text(node, "name"): _number(node, "value")
        for kind in ("userParameterLong", "userParameterDouble")
        for node in encoding.findall(f"trajectoryDescription/{kind}")
    }
    ramp, delay = stated.get("rampUpTime", 0.0), stated.get("acqDelayTime", math.inf)
    return ramp > 0 and delay < ramp


def build_header(
    encoded: tuple[int, int, int],
    recon: tuple[int, int, int],
    voxel_mm: tuple[float, float, float],
    field_strength_T: float,
) -> str:
    """A header that says how large the scan is, all that fastMRI's own loader asks for.

    Args:
        encoded: samples along (x, y, z), x the readout.
        recon: of the image.
        voxel_mm: along (x, y, z); a size that is not known becomes a field of view of 0.
        field_strength_T: NaN: left out.
    """
    root = ElementTree.Element("ismrmrdHeader", xmlns=_NAMESPACE)
    if math.isfinite(field_strength_T):
        system = ElementTree.SubElement(root, "acquisitionSystemInformation")
        _append(system, "systemFieldStrength_T", field_strength_T)
    conditions = ElementTree.SubElement(root, "experimentalConditions")
    _append(conditions, "H1resonanceFrequency_Hz", round(_frequency(field_strength_T)))
    encoding = ElementTree.SubElement(root, "encoding")
    for name, matrix in (("encodedSpace", encoded), ("reconSpace", recon)):
        space = ElementTree.SubElement(encoding, name)
        sizes = ElementTree.SubElement(space, "matrixSize")
        fields = ElementTree.SubElement(space, "fieldOfView_mm")
        for axis, samples, size in zip("xyz", matrix, voxel_mm, strict=True):
            _append(sizes, axis, samples)
            _append(fields, axis, samples * size if math.isfinite(size) else 0.0)
    limits = ElementTree.SubElement(encoding, "encodingLimits")
    step = ElementTree.SubElement(limits, "kspace_encoding_step_1")
    for name, value in (("minimum", 0), ("maximum", encoded[1] - 1), ("center", encoded[1] // 2)):
        _append(step, name, value)
    _append(encoding, "trajectory", "cartesian")
    return ElementTree.tostring(root, encoding="unicode")


def _frequency(field_strength_T: float) -> float:
    """Resonance frequency of protons, Hz; 0 where the field is not known."""
    return 42.577e6 * field_strength_T if math.isfinite(field_strength_T) else 0.0


def _append(parent: ElementTree.Element, tag: str, value: float | str) -> None:
    ElementTree.SubElement(parent, tag).text = str(value)


def _space(node: ElementTree.Element | None) -> Space:
    if node is None:
        return Space()
    matrix = [_number(node, f"matrixSize/{axis}") for axis in "xyz"]
    fov = [_number(node, f"fieldOfView_mm/{axis}") for axis in "xyz"]
    sizes = [int(n) if math.isfinite(n) and n > 0 else 0 for n in matrix]
    extent = [v if math.isfinite(v) and v > 0 else math.nan for v in fov]
    return Space((sizes[0], sizes[1], sizes[2]), (extent[0], extent[1], extent[2]))


def _text(node: ElementTree.Element, at: str) -> str:
    return (node.findtext(at) or "").strip()


def _number(node: ElementTree.Element, at: str) -> float:
    return _float(_text(node, at))


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
