"""Networks: thin builders over MONAI's, own code only where MONAI has none."""

from sciddm.networks.build import build_network
from sciddm.networks.dual_path import DualPathNetwork
from sciddm.networks.local_unet import LocalUNet
from sciddm.networks.ncsnpp import NCSNpp
from sciddm.networks.patch_autoencoder import PatchAutoencoder
from sciddm.networks.plain_unet import PlainUNet
from sciddm.networks.spectrogram import SpectrogramUNet
from sciddm.networks.unet import UNet

__all__ = [
    "DualPathNetwork",
    "LocalUNet",
    "NCSNpp",
    "PatchAutoencoder",
    "PlainUNet",
    "SpectrogramUNet",
    "UNet",
    "build_network",
]
