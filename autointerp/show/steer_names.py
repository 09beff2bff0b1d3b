"""What pages call the directions that a text is steered along, or a step is made along."""

DIRECTION_NAMES = {
    "feature": "the feature",
    "isotropic": "isotropic",
    "covariance": "as activations vary",
    "difference": "between activations",
    "neuron": "nearest neuron",
}
