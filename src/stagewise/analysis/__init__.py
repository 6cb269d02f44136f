"""From run records to statistics, tables, figures, verdicts and the report. Never imports torch.

Each room imports only what stands left of it: records, claims, tables, figures, report, publish.
"""
