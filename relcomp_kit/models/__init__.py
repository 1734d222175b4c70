"""Nets and their training: the masked tanh net, DeepLabV3 in three sizes, a small convolutional net, checkpoints."""
