"""Relevance: which pixels, neurons, filters and weights matter to a net.

`lrp` is layer-wise relevance propagation of weights, with conservation and heatmaps; `saliency` holds the thesis'
measures (formulas I to VIII), `oracle` and `ablation` what a net really loses without an input, a weight or a channel;
`concepts` what a channel stands for (CRP); `faithfulness` how well a measure ranks.
"""
