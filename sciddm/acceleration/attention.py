"""Attention of many tokens in few channels, with a backward of matrix products in bfloat16.

    S = q k^T / sqrt(d),   P = exp(S - max S),   l = P 1,   o = P v / l

With the gradient g of o, D = <g, o> and each row over its own l,

    dv = P^T g,   dS = P (g v^T - D 1^T),   dq = dS k / sqrt(d),   dk = dS^T q / sqrt(d)

torch's fused kernel goes over S in tiles of float32, and for heads of few channels its time is
spent on the tiles. Here S is computed in float32, P is stored in bfloat16, and all products with
it take bfloat16 and add in float32; D is one more column of g. Rows are taken in parts that stay
in the processor's cache. P is the same for every gradient through one evaluation: it is stored if
it is small, else computed again.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

__all__ = ["FEWEST_TOKENS", "attend"]

#: Below it torch's kernel is as quick.
FEWEST_TOKENS = 512
#: Entries of S in one part: 4 MB in float32.
_PART = 2**20
#: Entries of P that are stored.
_STORED = 2**25


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d)) v of q, k, v (B, heads, n, d), in float32, on a CPU.

    Exact but for the rounding of bfloat16.
    """
    out: Tensor = _Attend.apply(q.float(), k.float(), v.float())  # type: ignore[no-untyped-call]
    return out


class _Attend(torch.autograd.Function):
    """See the module."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        *_, n, d = q.shape
        shape = q.shape
        q = q.reshape(-1, n, d) * (math.log2(math.e) * d**-0.5)
        k, v = k.reshape(-1, n, d).contiguous(), v.reshape(-1, n, d).contiguous()
        stored = q.shape[0] * n * n <= _STORED
        half = torch.bfloat16
        p = q.new_empty((q.shape[0], n, n) if stored else (1, 1, 1), dtype=half)
        o = torch.empty_like(q)
        top, total = q.new_empty(q.shape[0], n, 1), q.new_empty(q.shape[0], n, 1)
        rows = _rows(n)
        s = q.new_empty(rows, n)
        part = q.new_empty(rows, n, dtype=half)
        v_half = v.to(half)
        for h in range(q.shape[0]):
            for i in range(0, n, rows):
                own = slice(i, min(i + rows, n))
                count = own.stop - i
                torch.mm(q[h, own], k[h].T, out=s[:count])
                torch.amax(s[:count], 1, keepdim=True, out=top[h, own])
                s[:count].sub_(top[h, own])
                torch.exp2(s[:count], out=s[:count])
                torch.sum(s[:count], 1, keepdim=True, out=total[h, own])
                weights = p[h, own] if stored else part[:count]
                weights.copy_(s[:count])
                o[h, own] = torch.mm(weights, v_half[h])
        o /= total
        ctx.save_for_backward(q, k, v, o, top, total, p)
        return o.reshape(shape)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        q, k, v, o, top, total, p = ctx.saved_tensors
        heads, n, d = q.shape
        half = torch.bfloat16
        g = gradients[0].reshape(heads, n, d)
        towards = torch.cat([g, -(g * o).sum(-1, keepdim=True)], -1) / total
        towards = towards.to(half)
        values = torch.cat([v, v.new_ones(heads, n, 1)], -1).to(half)
        keys, queries = k.to(half), q.to(half)
        dq, dk, dv = (torch.zeros_like(q) for _ in range(3))
        rows = _rows(n)
        slope = q.new_empty(rows, n, dtype=half)
        stored = p.shape[0] == heads
        s = q.new_empty(0 if stored else rows, n)
        again = q.new_empty(0 if stored else rows, n, dtype=half)
        for h in range(heads):
            for i in range(0, n, rows):
                own = slice(i, min(i + rows, n))
                count = own.stop - i
                if stored:
                    weights = p[h, own]
                else:
                    torch.mm(q[h, own], k[h].T, out=s[:count])
                    torch.exp2(s[:count].sub_(top[h, own]), out=s[:count])
                    weights = again[:count].copy_(s[:count])
                ds = slope[:count]
                torch.mm(towards[h, own], values[h].T, out=ds)
                ds.mul_(weights)
                dq[h, own] = torch.mm(ds, keys[h])
                # As rows, products with the tall matrices are twice as quick.
                dv[h] += torch.mm(towards[h, own, :d].T, weights).T
                dk[h] += torch.mm(queries[h, own].T, ds).T
        shape = gradients[0].shape
        dq *= d**-0.5
        dk /= math.log2(math.e)
        return dq.reshape(shape), dk.reshape(shape), dv.reshape(shape)


def _rows(n: int) -> int:
    return max(1, min(n, _PART // n))
