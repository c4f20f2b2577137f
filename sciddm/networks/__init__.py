"""Networks: thin builders over MONAI's, own code only where MONAI has none."""

from sciddm.networks.build import build_network
from sciddm.networks.spectrogram import SpectrogramUNet
from sciddm.networks.unet import UNet

__all__ = ["SpectrogramUNet", "UNet", "build_network"]
