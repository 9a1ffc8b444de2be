"""Image data sets and the networks that learn them."""
