"""Measuring networks: cost, latency, gradient shock."""
