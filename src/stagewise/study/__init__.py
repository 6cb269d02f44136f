"""From a configuration to a plan of runs. Nothing here imports torch.

Nor does this file import anything: a training process needs ``spec`` alone.
"""
