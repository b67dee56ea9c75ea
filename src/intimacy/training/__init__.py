"""Everything that makes a model: corpora, tokenizer, distillation, fine-tuning, export.

Needs the extra ``train``: ``pip install 'intimacy[train]'``. Nothing here is imported by the
parts that classify.
"""
