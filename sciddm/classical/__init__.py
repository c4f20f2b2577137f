"""Methods without a trained model: references, and images that sampling starts from."""
