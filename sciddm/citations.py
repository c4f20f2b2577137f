"""The papers of the methods, to cite what a result was made with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sciddm import __version__

__all__ = ["REFERENCES", "Reference", "bibtex", "software"]


@dataclass(frozen=True)
class Reference:
    """One paper.

    Attributes:
        key: of the BibTeX entry.
        authors: "Family, Given" of each.
        title: of the paper.
        venue: journal with volume and pages, or conference.
        year: of publication.
        link: DOI, arXiv number as "arXiv:NUMBER", or the address of a paper without both.
        journal: whether the venue is a journal.
    """

    key: str
    authors: tuple[str, ...]
    title: str
    venue: str
    year: int
    link: str
    journal: bool = False

    @property
    def short(self) -> str:
        """As it stands in a sentence: Song et al., 2021a; the letter where two would be alike."""
        alike = [r.key for r in REFERENCES.values() if r._plain == self._plain]
        letter = chr(ord("a") + alike.index(self.key)) if len(alike) > 1 else ""
        return f"{self._plain}{letter}"

    @property
    def _plain(self) -> str:
        families = [author.partition(",")[0] for author in self.authors]
        names = f"{families[0]} et al." if len(families) > 2 else " and ".join(families)
        return f"{names}, {self.year}"

    @property
    def line(self) -> str:
        """As it stands in a list of references."""
        authors = "; ".join(self.authors).rstrip(".")
        year = self.short.rpartition(", ")[2]
        return f"{authors}. {self.title}. {self.venue}, {year}. {self.link}."

    @property
    def bibtex(self) -> str:
        """The entry for BibTeX."""
        kind, place = ("article", "journal") if self.journal else ("inproceedings", "booktitle")
        fields = [
            ("author", " and ".join(self.authors)), ("title", f"{{{self.title}}}"),
            (place, self.venue), ("year", str(self.year)),
        ]  # fmt: skip
        if self.link.startswith("arXiv:"):
            number = self.link.removeprefix("arXiv:")
            fields += [("eprint", number), ("archiveprefix", "arXiv")]
        else:
            fields.append(("url" if self.link.startswith("https:") else "doi", self.link))
        return _entry(kind, self.key, fields)


def software() -> str:
    """The BibTeX entry of this package."""
    fields = [
        ("author", "{The sciddm developers}"),
        ("title", "{sciddm: diffusion models for people who measure things}"),
        ("version", __version__),
        ("year", "2026"),
    ]
    return _entry("software", "sciddm", fields)


def bibtex(keys: Iterable[str]) -> str:
    """The entries of this package and of papers, each once, in their order."""
    entries = [software(), *(REFERENCES[key].bibtex for key in dict.fromkeys(keys))]
    return "\n\n".join(entries)


def _entry(kind: str, key: str, fields: Sequence[tuple[str, str]]) -> str:
    lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields)
    return f"@{kind}{{{key},\n{lines}}}"


REFERENCES: dict[str, Reference] = {
    reference.key: reference
    for reference in (
        Reference(
            "song2021score",
            ("Song, Yang", "Sohl-Dickstein, Jascha", "Kingma, Diederik P.", "Kumar, Abhishek",
             "Ermon, Stefano", "Poole, Ben"),
            "Score-based generative modeling through stochastic differential equations",
            "International Conference on Learning Representations", 2021, "arXiv:2011.13456",
        ),
        Reference(
            "song2021ddim", ("Song, Jiaming", "Meng, Chenlin", "Ermon, Stefano"),
            "Denoising diffusion implicit models",
            "International Conference on Learning Representations", 2021, "arXiv:2010.02502",
        ),
        Reference(
            "karras2022",
            ("Karras, Tero", "Aittala, Miika", "Aila, Timo", "Laine, Samuli"),
            "Elucidating the design space of diffusion-based generative models",
            "Advances in Neural Information Processing Systems", 2022, "arXiv:2206.00364",
        ),
        Reference(
            "lu2022",
            ("Lu, Cheng", "Zhou, Yuhao", "Bao, Fan", "Chen, Jianfei", "Li, Chongxuan", "Zhu, Jun"),
            "DPM-Solver++: fast solver for guided sampling of diffusion probabilistic models",
            "arXiv preprint", 2022, "arXiv:2211.01095", journal=True,
        ),
        Reference(
            "rozet2024",
            ("Rozet, François", "Andry, Gérôme", "Lanusse, François", "Louppe, Gilles"),
            "Learning diffusion priors from observations by expectation maximization",
            "Advances in Neural Information Processing Systems", 2024, "arXiv:2405.13712",
        ),
        Reference(
            "zhu2023",
            ("Zhu, Yuanzhi", "Zhang, Kai", "Liang, Jingyun", "Cao, Jiezhang", "Wen, Bihan",
             "Timofte, Radu", "Van Gool, Luc"),
            "Denoising diffusion models for plug-and-play image restoration",
            "IEEE/CVF Conference on Computer Vision and Pattern Recognition Workshops", 2023,
            "arXiv:2305.08995",
        ),
        Reference(
            "song2023pigdm",
            ("Song, Jiaming", "Vahdat, Arash", "Mardani, Morteza", "Kautz, Jan"),
            "Pseudoinverse-guided diffusion models for inverse problems",
            "International Conference on Learning Representations", 2023,
            "https://openreview.net/forum?id=9_gsMA8MRKQ",
        ),
        Reference(
            "chung2023dps",
            ("Chung, Hyungjin", "Kim, Jeongsol", "McCann, Michael T.", "Klasky, Marc L.",
             "Ye, Jong Chul"),
            "Diffusion posterior sampling for general noisy inverse problems",
            "International Conference on Learning Representations", 2023, "arXiv:2209.14687",
        ),
        Reference(
            "uecker2014",
            ("Uecker, Martin", "Lai, Peng", "Murphy, Mark J.", "Virtue, Patrick", "Elad, Michael",
             "Pauly, John M.", "Vasanawala, Shreyas S.", "Lustig, Michael"),
            "ESPIRiT - an eigenvalue approach to autocalibrating parallel MRI: where SENSE meets "
            "GRAPPA",
            "Magnetic Resonance in Medicine 71:990-1001", 2014, "10.1002/mrm.24751", journal=True,
        ),
        Reference(
            "pruessmann1999",
            ("Pruessmann, Klaas P.", "Weiger, Markus", "Scheidegger, Markus B.",
             "Boesiger, Peter"),
            "SENSE: sensitivity encoding for fast MRI",
            "Magnetic Resonance in Medicine 42:952-962", 1999,
            "10.1002/(SICI)1522-2594(199911)42:5<952::AID-MRM16>3.0.CO;2-S", journal=True,
        ),
        Reference(
            "rudin1992", ("Rudin, Leonid I.", "Osher, Stanley", "Fatemi, Emad"),
            "Nonlinear total variation based noise removal algorithms",
            "Physica D 60:259-268", 1992, "10.1016/0167-2789(92)90242-F", journal=True,
        ),
        Reference(
            "yue2023", ("Yue, Zongsheng", "Wang, Jianyi", "Loy, Chen Change"),
            "ResShift: efficient diffusion model for image super-resolution by residual shifting",
            "Advances in Neural Information Processing Systems", 2023, "arXiv:2307.12348",
        ),
        Reference(
            "liu2024",
            ("Liu, Jiawei", "Wang, Qiang", "Fan, Huijie", "Wang, Yinong", "Tang, Yandong",
             "Qu, Liangqiong"),
            "Residual denoising diffusion models",
            "IEEE/CVF Conference on Computer Vision and Pattern Recognition", 2024,
            "arXiv:2308.13712",
        ),
        Reference(
            "sun2025",
            ("Sun, Yipeng", "Schneider, Linda-Sophie", "Gu, Mingxuan", "Mei, Siyuan",
             "Ye, Chengze", "Wagner, Fabian", "Bayer, Siming", "Maier, Andreas"),
            "Filter2Noise: interpretable self-supervised single-image denoising for low-dose CT "
            "with attention-guided bilateral filtering",
            "arXiv preprint", 2025, "arXiv:2504.13519v1", journal=True,
        ),
        Reference(
            "kim2021", ("Kim, Kwanyoung", "Ye, Jong Chul"),
            "Noise2Score: Tweedie's approach to self-supervised image denoising without clean "
            "images",
            "Advances in Neural Information Processing Systems", 2021, "arXiv:2106.07009",
        ),
        Reference(
            "miao2023",
            ("Miao, Yuchun", "Zhang, Lefei", "Zhang, Liangpei", "Tao, Dacheng"),
            "DDS2M: self-supervised denoising diffusion spatio-spectral model for hyperspectral "
            "image restoration",
            "IEEE/CVF International Conference on Computer Vision", 2023, "arXiv:2303.06682",
        ),
        Reference(
            "rombach2022",
            ("Rombach, Robin", "Blattmann, Andreas", "Lorenz, Dominik", "Esser, Patrick",
             "Ommer, Björn"),
            "High-resolution image synthesis with latent diffusion models",
            "IEEE/CVF Conference on Computer Vision and Pattern Recognition", 2022,
            "arXiv:2112.10752",
        ),
        Reference(
            "meng2022",
            ("Meng, Chenlin", "He, Yutong", "Song, Yang", "Song, Jiaming", "Wu, Jiajun",
             "Zhu, Jun-Yan", "Ermon, Stefano"),
            "SDEdit: guided image synthesis and editing with stochastic differential equations",
            "International Conference on Learning Representations", 2022, "arXiv:2108.01073",
        ),
        Reference(
            "richter2023",
            ("Richter, Julius", "Welker, Simon", "Lemercier, Jean-Marie", "Lay, Bunlong",
             "Gerkmann, Timo"),
            "Speech enhancement and dereverberation with diffusion-based generative models",
            "IEEE/ACM Transactions on Audio, Speech, and Language Processing 31:2351-2364", 2023,
            "10.1109/TASLP.2023.3285241", journal=True,
        ),
        Reference(
            "lemercier2023",
            ("Lemercier, Jean-Marie", "Richter, Julius", "Welker, Simon", "Gerkmann, Timo"),
            "StoRM: a diffusion-based stochastic regeneration model for speech enhancement and "
            "dereverberation",
            "IEEE/ACM Transactions on Audio, Speech, and Language Processing 31:2724-2737", 2023,
            "10.1109/TASLP.2023.3294692", journal=True,
        ),
        Reference(
            "stevens2024",
            ("Stevens, Tristan S. W.", "Meral, Faik C.", "Yu, Jason", "Apostolakis, Iason Z.",
             "Robert, Jean-Luc", "van Sloun, Ruud J. G."),
            "Dehazing ultrasound using diffusion models",
            "IEEE Transactions on Medical Imaging 43:3546-3558", 2024,
            "10.1109/TMI.2024.3363460", journal=True,
        ),
        Reference(
            "wahl2009",
            ("Wahl, Richard L.", "Jacene, Heather", "Kasamon, Yvette", "Lodge, Martin A."),
            "From RECIST to PERCIST: evolving considerations for PET response criteria in solid "
            "tumors",
            "Journal of Nuclear Medicine 50 Suppl 1:122S-150S", 2009,
            "10.2967/jnumed.108.057307", journal=True,
        ),
    )
}  # fmt: skip
