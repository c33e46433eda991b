"""Show where models look, and what their wavelets learned."""

from kerafer.explain.explain import explain, explain_wavelets

__all__ = ["explain", "explain_wavelets"]
