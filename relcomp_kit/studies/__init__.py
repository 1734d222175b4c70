"""Studies: what each lesson measures, from data to a result.

A package holds one study: `measurement` computes, `experiment` is one point of its sweeps, `results` turns rows of a
sweep into a record and the claims that it decides, `examples` are single pictures. Budgets stand in `profiles`.
"""

from relcomp_kit.sweeps.experiments import register

register("code", "relcomp_kit.studies.coding.experiment:code")
register("expert", "relcomp_kit.studies.experts.experiment:expert")
register("one-shot", "relcomp_kit.studies.quantization.experiment:one_shot")
register("prune", "relcomp_kit.studies.pruning.experiment:prune")
register("quantize", "relcomp_kit.studies.quantization.experiment:quantize")
register("saliency", "relcomp_kit.studies.saliency.experiment:saliency")
register("train", "relcomp_kit.studies.segmentation.experiment:train")
