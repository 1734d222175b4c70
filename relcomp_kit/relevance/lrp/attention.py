"""Attention as the functions that it consists of: products, softmax, linear layers, each with its rule."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from relcomp_kit.relevance.lrp.operations import Operations


def _attention(
    op: Operations, function: Callable, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None,
    dropout_p: float = 0.0, is_causal: bool = False, *, scale: float | None = None, enable_gqa: bool = False,
) -> Tensor:  # fmt: skip
    """Compute `torch.nn.functional.scaled_dot_product_attention` by its formula, ``softmax(scale q k' + mask) v``."""
    if dropout_p or enable_gqa:
        op.refuse("scaled_dot_product_attention with dropout or groups of heads")
        return function(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
    scores = op.call(torch.matmul, query, op.call(torch.transpose, key, -2, -1))
    scores = op.call(torch.mul, scores, query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    return op.call(torch.matmul, op.call(F.softmax, _masked(op, scores, attn_mask), -1), value)


def _masked(op: Operations, scores: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return scores
    if mask.dtype == torch.bool:
        return op.call(torch.masked_fill, scores, ~mask, float("-inf"))
    return op.call(torch.add, scores, mask)


def _multi_head_attention(
    op: Operations, function: Callable, query: Tensor, key: Tensor, value: Tensor, embed_dim_to_check: int,
    num_heads: int, in_proj_weight: Tensor | None, in_proj_bias: Tensor | None, bias_k: Tensor | None,
    bias_v: Tensor | None, add_zero_attn: bool, dropout_p: float, out_proj_weight: Tensor,
    out_proj_bias: Tensor | None, training: bool = True, key_padding_mask: Tensor | None = None,
    need_weights: bool = True, attn_mask: Tensor | None = None, use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None, k_proj_weight: Tensor | None = None, v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None, static_v: Tensor | None = None, average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    """Compute what `torch.nn.MultiheadAttention` does, (L, N, E) in and out, with the samples in front in between."""
    rare = (bias_k, bias_v, static_k, static_v, use_separate_proj_weight or None, add_zero_attn or None)
    if query.ndim != 3 or any(one is not None for one in rare) or (training and dropout_p):
        op.refuse("multi_head_attention_forward with static keys, other sizes or no batch")
        return function(
            query, key, value, embed_dim_to_check, num_heads, *op.plain((in_proj_weight, in_proj_bias)), bias_k, bias_v,
            add_zero_attn, dropout_p, *op.plain((out_proj_weight, out_proj_bias)), training, key_padding_mask,
            need_weights, attn_mask, use_separate_proj_weight, q_proj_weight, k_proj_weight, v_proj_weight, static_k,
            static_v, average_attn_weights, is_causal,
        )  # fmt: skip

    def heads(values: Tensor) -> Tensor:
        return op.call(torch.transpose, op.call(torch.unflatten, values, -1, (num_heads, -1)), 1, 2)

    first = op.call(torch.transpose, query, 0, 1)
    if query is key and key is value:
        projected = op.call(torch.chunk, op.call(F.linear, first, in_proj_weight, in_proj_bias), 3, -1)
    else:
        weights = op.call(torch.chunk, in_proj_weight, 3)
        biases = (None,) * 3 if in_proj_bias is None else op.call(torch.chunk, in_proj_bias, 3)
        inputs = (first, *(op.call(torch.transpose, one, 0, 1) for one in (key, value)))
        projected = [op.call(F.linear, *one) for one in zip(inputs, weights, biases)]
    q, k, v = map(heads, projected)
    scores = op.call(torch.mul, op.call(torch.matmul, q, op.call(torch.transpose, k, -2, -1)), q.shape[-1] ** -0.5)
    if attn_mask is not None and attn_mask.ndim == 3:
        attn_mask = attn_mask.unflatten(0, (-1, num_heads))
    padding = None if key_padding_mask is None else key_padding_mask[:, None, None]
    for mask in (attn_mask, padding):
        if mask is not None:
            scores = _masked(op, scores, ~mask if mask.dtype == torch.bool else mask)  # here True is left out
    shares = op.call(F.softmax, scores, -1)
    mixed = op.call(torch.flatten, op.call(torch.transpose, op.call(torch.matmul, shares, v), 1, 2), 2)
    output = op.call(torch.transpose, op.call(F.linear, mixed, out_proj_weight, out_proj_bias), 0, 1)
    if not need_weights:
        return output, None
    return output, op.call(torch.mean, shares, 1) if average_attn_weights else shares


ATTENTION_RULES: dict[str, Callable] = {
    "scaled_dot_product_attention": _attention,
    "multi_head_attention_forward": _multi_head_attention,
}
