"""What pages call the directions that a text is steered along."""

DIRECTION_NAMES = {"feature": "the feature", "isotropic": "isotropic", "covariance": "as activations vary"}
